// SPDX-License-Identifier: Apache-2.0
// Link: whether a network backend still has its peer; tells the device of changes.
//
// The device is told on the loop's thread, because the thread that notices may hold the device's lock. Lives
// until the loop is destroyed. Thread: any; attach() once.
#pragma once

#include <atomic>
#include <string_view>

#include "devices/virtio/net/net_backend.h"
#include "vmm/loop/loop.h"

namespace mayfly {

class Link final : private Task {
  public:
    Link() = default;

    void attach(Loop& loop);
    void set_client(NetClient* client) { client_.store(client, std::memory_order_release); }
    [[nodiscard]] NetClient* client() const { return client_.load(std::memory_order_acquire); }

    [[nodiscard]] bool is_up() const { return is_up_.load(std::memory_order_acquire); }
    /// Down for good, with one line of log. `subject`: the backend, as the user named it.
    void lose(std::string_view subject, std::string_view why);
    /// \returns false when it is down already.
    bool take_down();
    void restore();

  private:
    void tell();
    void run() override;

    std::atomic<NetClient*> client_ = nullptr;
    std::atomic<Loop*> loop_ = nullptr;
    std::atomic<bool> is_up_ = true;
};

}  // namespace mayfly
