// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/readiness.h"

#include <poll.h>

namespace mayfly {

Readiness::Readiness(ReadinessClient& client, u16 index)
    : client_(client),
      index_(index),
      read_poll_(*this, &Readiness::on_read_event),
      write_poll_(*this, &Readiness::on_write_event),
      arm_(*this) {}

Result<void> Readiness::attach(Loop& loop, const UniqueFd& fd) {
    file_ = TRY(loop.add_file(fd));
    is_detached_ = false;
    is_room_wanted_.store(false, std::memory_order_release);
    loop_.store(&loop, std::memory_order_release);
    loop.poll_multishot(file_, POLLIN, read_poll_);
    return {};
}

void Readiness::want_writable() {
    Loop* const loop = loop_.load(std::memory_order_acquire);
    if (loop == nullptr) return;
    if (!is_room_wanted_.exchange(true, std::memory_order_acq_rel)) loop->post(arm_);
}

void Readiness::detach() {
    Loop* const loop = loop_.load(std::memory_order_acquire);
    if (loop == nullptr || is_detached_) return;
    is_detached_ = true;
    if (read_poll_.is_pending()) loop->cancel(read_poll_);
    if (write_poll_.is_pending()) loop->cancel(write_poll_);
    loop->remove_file(file_);
}

void Readiness::on_read_event(i32 result, bool /*has_more*/) {
    if (is_detached_) return;
    if (result < 0) {
        // Cancellation by an ending loop is not the peer's end.
        if (!loop_.load(std::memory_order_acquire)->is_stopping()) client_.on_gone(index_);
        return;
    }
    // Bytes from before the end can still be read.
    if ((result & POLLIN) != 0) client_.on_readable(index_);
    if (!is_detached_ && (result & (POLLERR | POLLHUP | POLLNVAL)) != 0) client_.on_gone(index_);
}

void Readiness::arm_write_poll() {
    Loop* const loop = loop_.load(std::memory_order_acquire);
    if (is_detached_ || loop->is_stopping() || write_poll_.is_pending()) return;
    if (is_room_wanted_.load(std::memory_order_acquire)) loop->poll_multishot(file_, POLLOUT, write_poll_);
}

void Readiness::on_write_event(i32 result, bool has_more) {
    if (is_detached_) return;
    if (has_more) loop_.load(std::memory_order_acquire)->cancel(write_poll_);
    if (result >= 0) {
        if (is_room_wanted_.exchange(false, std::memory_order_acq_rel)) client_.on_writable(index_);
    }
    // Wanted again while the poll was being cancelled: its last completion comes here too.
    if (!has_more) arm_write_poll();
}

}  // namespace mayfly
