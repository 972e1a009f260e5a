// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vmm/command/commands.h"
#include "vmm/command/outputs/answer.h"

namespace mayfly {

int version_command(bool is_json) {
    std::string text = "mayfly " MAYFLY_VERSION "\n";
    if (is_json) {
        const nlohmann::ordered_json root{{"name", "mayfly"},
                                          {"version", MAYFLY_VERSION},
                                          {"libc", MAYFLY_LIBC},
                                          {"allocator", MAYFLY_ALLOCATOR}};
        text = root.dump(2) + "\n";
    }
    return print_result(text);
}

}  // namespace mayfly
