// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot/service_notices.h"

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "vmm/text/log.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

std::unique_ptr<ServiceNotices> ServiceNotices::connect(const std::string& name, const BootConfig& config) {
    ::unsetenv(kVariable);
    if (name.empty()) return nullptr;
    Result<NotifySocket> socket = NotifySocket::connect(name);
    if (!socket) {
        // The guest's work does not depend on it. A manager that waits for READY=1 ends us by itself.
        log::warning(fmt::format("{}: {}; the service manager is not told when the guest runs", kVariable,
                                 socket.error().message()));
        return nullptr;
    }
    std::unique_ptr<ServiceNotices> notices(
        new ServiceNotices(std::move(*socket), visible(config.exec ? config.exec->program : config.kernel)));
    notices->send("", "booting " + visible(config.kernel));
    return notices;
}

void ServiceNotices::on_running() {
    if (std::exchange(is_told_, true)) return;
    send("READY=1\n", what_ + " runs");
}

void ServiceNotices::on_end(int status, const std::string& line) {
    send("STOPPING=1\n", line.empty() ? fmt::format("ended with status {}", status)
                                      : fmt::format("ended with status {}: {}", status, visible(line)));
}

void ServiceNotices::send(const char* what, const std::string& status) {
    const Result<void> sent = socket_.send(fmt::format("{}STATUS={}", what, status));
    if (!sent && *what != '\0')
        log::warning(fmt::format("{}: the service manager did not take {}: {}", kVariable,
                                 std::string_view(what).substr(0, std::string_view(what).find('\n')),
                                 sent.error().message()));
}

}  // namespace mayfly
