// SPDX-License-Identifier: Apache-2.0
#include "vmm/error/error.h"

#include <cerrno>
#include <cstring>

namespace mayfly {

Error Error::os(std::string_view operation) { return os(operation, errno); }

Error Error::os(std::string_view operation, int os_errno) {
    return Error(ErrorKind::Os, os_errno, std::string(operation));
}

Error Error::invalid(std::string what) { return Error(ErrorKind::Invalid, 0, std::move(what)); }
Error Error::not_found(std::string what) { return Error(ErrorKind::NotFound, 0, std::move(what)); }
Error Error::host(std::string what) { return Error(ErrorKind::Host, 0, std::move(what)); }
Error Error::stopped() { return Error(ErrorKind::Stopped, 0, "was stopped"); }

Error Error::about(std::string_view subject) && {
    subject_ = subject_.empty() ? std::string(subject) : std::string(subject) + ": " + subject_;
    return std::move(*this);
}

Error Error::hint(std::string_view what_to_do) && {
    hint_ = std::string(what_to_do);
    return std::move(*this);
}

std::string Error::message() const {
    std::string line;
    if (kind_ == ErrorKind::Os) {
        line = what_;
        if (!subject_.empty()) line += " " + subject_;
        line += std::string(": ") + std::strerror(os_errno_);
    } else {
        line = subject_.empty() ? what_ : subject_ + ": " + what_;
    }
    if (!hint_.empty()) line += " (" + hint_ + ")";
    return line;
}

}  // namespace mayfly
