// SPDX-License-Identifier: Apache-2.0
// ServiceNotices: what a service manager is told of a boot, when NOTIFY_SOCKET names its socket.
//
// "READY=1" once the guest's program runs, "STOPPING=1" when the machine has ended, a line of STATUS with
// each. The socket is connected before the guest's first instruction. Thread: made and ended by the main
// thread; on_running() any, once at a time.
// Spec: systemd 252, sd_notify(3).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <unistd.h>

#include "vmm/machine/plan/config.h"
#include "vmm/os/notify_socket.h"

namespace mayfly {

class ServiceNotices {
  public:
    /// Null where nobody is to be told: without NOTIFY_SOCKET, which is all that most boots look for, and
    /// where its socket takes nothing, of which a warning is printed. The variable is gone then: what mayfly
    /// starts does not speak for it.
    static std::unique_ptr<ServiceNotices> connect(const BootConfig& config) {
        // Quicker than getenv(), which calls strncmp() for each.
        for (char* const* one = ::environ; *one != nullptr; ++one) {
            if (**one == *kVariable && std::string_view(*one).starts_with(kAssignment))
                return connect(*one + kAssignment.size(), config);
        }
        return nullptr;
    }

    /// The program of --exec has been executed; without one, the guest's first instruction is next.
    void on_running();
    /// `line` says why the machine ended; it may be empty.
    void on_end(int status, const std::string& line);

  private:
    static constexpr const char* kVariable = "NOTIFY_SOCKET";
    static constexpr std::string_view kAssignment = "NOTIFY_SOCKET=";

    static std::unique_ptr<ServiceNotices> connect(const std::string& name, const BootConfig& config);
    ServiceNotices(NotifySocket socket, std::string what)
        : socket_(std::move(socket)), what_(std::move(what)) {}

    void send(const char* what, const std::string& status);

    const NotifySocket socket_;
    const std::string what_;  // runs in the guest
    bool is_told_ = false;
};

}  // namespace mayfly
