// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/outputs/answer.h"

#include <cstdio>

#include "vmm/machine/lifecycle/ending.h"
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

}  // namespace mayfly
