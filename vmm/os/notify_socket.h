// SPDX-License-Identifier: Apache-2.0
// NotifySocket: the socket on which a service manager takes notices, "READY=1" and the like.
//
// Connected once, by name; sending needs no name any more. Thread: any.
// Spec: systemd 252, sd_notify(3).
#pragma once

#include <string>
#include <string_view>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class NotifySocket {
  public:
    /// `name` is a path, or '@' and a name in the abstract namespace. Errors: Invalid; Os where nobody
    /// listens there.
    static Result<NotifySocket> connect(const std::string& name);

    /// One datagram. A listener that takes nothing holds the caller up for two seconds. Errors: Os.
    [[nodiscard]] Result<void> send(std::string_view notice) const;

  private:
    explicit NotifySocket(UniqueFd fd) : fd_(std::move(fd)) {}

    UniqueFd fd_;
};

}  // namespace mayfly
