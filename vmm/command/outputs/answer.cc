// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/outputs/answer.h"

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "vmm/machine/lifecycle/ending.h"
#include "vmm/text/log.h"

namespace mayfly {

int print_error(const Error& error) {
    log::error(error.message());
    return error.kind() == ErrorKind::NotFound ? kStatusNotFound : kStatusFailed;
}

int print_result(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return 0;
    // A reader that has what it wanted, as head(1): what SIGPIPE says where it is not ignored.
    if (errno == EPIPE) return kStatusSignalBase + SIGPIPE;
    return print_error(Error::os("write").about("stdout"));
}

}  // namespace mayfly
