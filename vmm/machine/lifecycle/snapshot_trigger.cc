// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/snapshot_trigger.h"

#include <cerrno>

#include <poll.h>

namespace mayfly {

Result<void> SnapshotTrigger::arm(SnapshotMoment moment) {
    TRY_VOID(vcpus_.prepare_pause());
    moment_ = moment;
    came_.emplace(TRY(EventFd::create()));
    is_waited_for_.store(true, std::memory_order_release);
    return {};
}

bool SnapshotTrigger::is_armed(SnapshotMoment::Kind kind) const {
    return is_waited_for_.load(std::memory_order_acquire) && moment_.kind == kind;
}

bool SnapshotTrigger::claim(SnapshotMoment::Kind kind) noexcept {
    return is_armed(kind) && is_waited_for_.exchange(false, std::memory_order_acq_rel);
}

void SnapshotTrigger::reach(SnapshotMoment::Kind kind) {
    if (!claim(kind)) return;
    vcpus_.begin_pause();
    came_->signal();
}

bool SnapshotTrigger::request(SnapshotMoment::Kind kind) noexcept {
    if (!came_ || moment_.kind != kind) return false;
    if (claim(kind)) came_->signal();
    return true;
}

bool SnapshotTrigger::wait() {
    pollfd event{.fd = came_->fd().get(), .events = POLLIN, .revents = 0};
    while (::poll(&event, 1, -1) < 0 && errno == EINTR) {
    }
    return !is_cancelled_.load(std::memory_order_acquire);
}

void SnapshotTrigger::cancel() noexcept {
    is_cancelled_.store(true, std::memory_order_release);
    is_waited_for_.store(false, std::memory_order_release);
    if (came_) came_->signal();
}

}  // namespace mayfly
