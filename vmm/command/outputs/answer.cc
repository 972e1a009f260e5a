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

namespace {

bool write_stdout(std::string_view text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

}  // namespace

int print_result(std::string_view text) {
    return write_stdout(text) ? 0 : print_error(Error::os("write").about("stdout"));
}

int print_help(std::string_view text) {
    if (write_stdout(text)) return 0;
    if (errno == EPIPE) return kStatusSignalBase + SIGPIPE;
    return print_error(Error::os("write").about("stdout"));
}

}  // namespace mayfly
