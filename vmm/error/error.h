// SPDX-License-Identifier: Apache-2.0
// Error: the report of a host-side operation that failed.
//
// Not for guest-caused faults, which are values (std::optional, small enums), and not for our own
// bugs, which hit VERIFY. Immutable once built; may cross threads.
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

enum class ErrorKind : u8 {
    Os,        ///< a system call failed; os_errno() says how
    Invalid,   ///< an option, file or value that we refuse
    NotFound,  ///< the kernel or program that was named does not exist (status 127)
    Host,      ///< this host, or its KVM, lacks something that is needed
    Stopped,   ///< given up because a time limit or a signal ends the machine
};

class [[nodiscard]] Error {
  public:
    /// A failed system call; captures errno. `operation` names the failed call: "open", "KVM_CREATE_VM".
    static Error os(std::string_view operation);
    static Error os(std::string_view operation, int os_errno);
    /// A value that is refused. `what` says what failed, with the value and the limit.
    static Error invalid(std::string what);
    static Error not_found(std::string what);
    static Error host(std::string what);
    static Error stopped();

    /// Adds what the operation was about (a path, an option): "open /x: No such file".
    Error about(std::string_view subject) &&;
    /// Adds what the user can do about it; printed in parentheses at the end.
    Error hint(std::string_view what_to_do) &&;

    [[nodiscard]] ErrorKind kind() const { return kind_; }
    [[nodiscard]] int os_errno() const { return os_errno_; }
    /// One line, lower case, no full stop.
    [[nodiscard]] std::string message() const;

  private:
    Error(ErrorKind kind, int os_errno, std::string what)
        : kind_(kind), os_errno_(os_errno), what_(std::move(what)) {}

    ErrorKind kind_;
    int os_errno_;
    std::string what_;
    std::string subject_;
    std::string hint_;
};

}  // namespace mayfly
