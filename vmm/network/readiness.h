// SPDX-License-Identifier: Apache-2.0
// Readiness: when one descriptor of a network backend can be read or written again, from the loop's polls.
//
// One multishot poll for reading stays forever. One for writing exists only while a sender waits for room:
// sockets would report room after every frame. Lives until the loop has ended.
// Thread: want_writable() any; everything else, callbacks included: the loop's thread, or before it runs.
#pragma once

#include <atomic>

#include "vmm/error/result.h"
#include "vmm/loop/loop.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class ReadinessClient {
  public:
    ReadinessClient() = default;
    ReadinessClient(const ReadinessClient&) = delete;
    ReadinessClient& operator=(const ReadinessClient&) = delete;
    virtual ~ReadinessClient() = default;

    virtual void on_readable(u16 index) = 0;
    /// Once per want_writable(), or less often.
    virtual void on_writable(u16 index) = 0;
    /// The other side is gone. No further callbacks.
    virtual void on_gone(u16 index) = 0;
};

class Readiness {
  public:
    Readiness(ReadinessClient& client, u16 index);

    /// `fd` stays open until detach(). Also after one, with another fd, once has_settled().
    Result<void> attach(Loop& loop, const UniqueFd& fd);
    /// Requests on_writable() once there is room. No effect before attach().
    void want_writable();
    /// No more callbacks.
    void detach();
    /// Whether all requests to the kernel have ended, which takes some turns after detach().
    [[nodiscard]] bool has_settled() const { return !read_poll_.is_pending() && !write_poll_.is_pending(); }

  private:
    class Poll final : public Operation {
      public:
        Poll(Readiness& owner, void (Readiness::*on_event)(i32 result, bool has_more))
            : owner_(owner), on_event_(on_event) {}
        void on_complete(i32 result, bool has_more) override { (owner_.*on_event_)(result, has_more); }

      private:
        Readiness& owner_;
        void (Readiness::*on_event_)(i32 result, bool has_more);
    };
    class Arm final : public Task {
      public:
        explicit Arm(Readiness& owner) : owner_(owner) {}
        void run() override { owner_.arm_write_poll(); }

      private:
        Readiness& owner_;
    };

    void on_read_event(i32 result, bool has_more);
    void on_write_event(i32 result, bool has_more);
    void arm_write_poll();

    ReadinessClient& client_;
    u16 index_;
    std::atomic<Loop*> loop_ = nullptr;
    u32 file_ = 0;
    bool is_detached_ = false;
    std::atomic<bool> is_room_wanted_ = false;
    Poll read_poll_;
    Poll write_poll_;
    Arm arm_;
};

}  // namespace mayfly
