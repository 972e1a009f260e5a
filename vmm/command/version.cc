// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vmm/command/build_facts.h"
#include "vmm/command/commands.h"
#include "vmm/command/outputs/answer.h"

namespace mayfly {

int version_command(bool is_json) {
    std::string text = fmt::format("mayfly {} (commit {}, {} {}, {}, {})\n", MAYFLY_VERSION, build_commit(),
                                   MAYFLY_COMPILER, MAYFLY_OPTIMISATION, MAYFLY_LIBC, MAYFLY_ALLOCATOR);
    if (is_json) {
        const nlohmann::ordered_json root{{"name", "mayfly"},
                                          {"version", MAYFLY_VERSION},
                                          {"commit", build_commit()},
                                          {"compiler", MAYFLY_COMPILER},
                                          {"optimisation", MAYFLY_OPTIMISATION},
                                          {"libc", MAYFLY_LIBC},
                                          {"allocator", MAYFLY_ALLOCATOR}};
        text = root.dump(2) + "\n";
    }
    return print_help(text);
}

}  // namespace mayfly
