// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "vmm/command/commands.h"
#include "vmm/text/log.h"

namespace mayfly {

int print_error(const Error& error) {
    log::error(error.message());
    return error.kind() == ErrorKind::NotFound ? kStatusNotFound : kStatusFailed;
}

int print_result(std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0
               ? 0
               : print_error(Error::os("write").about("stdout"));
}

int version_command(bool is_json) {
    std::string text = "mayfly " MAYFLY_VERSION "\n";
    if (is_json) {
        const nlohmann::ordered_json root{
            {"name", "mayfly"}, {"version", MAYFLY_VERSION}, {"allocator", MAYFLY_ALLOCATOR}};
        text = root.dump(2) + "\n";
    }
    return print_result(text);
}

}  // namespace mayfly
