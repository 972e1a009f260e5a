// SPDX-License-Identifier: Apache-2.0
// VirtioWorker: decides which thread does a device's work, and moves the work there.
//
// A device begins inline: its doorbell exits, the vCPU thread works and goes on; no thread, no eventfd. A
// device that proves hot is promoted, for good: its doorbells become ioeventfds and its work the I/O
// thread's.
//
// Thread: QueueWorker's functions under the device's lock; the inner classes on the I/O thread.
#pragma once

#include <deque>
#include <optional>

#include "devices/virtio/transport/core.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/loop/backend.h"
#include "vmm/machine/io/io_thread.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

class VirtioWorker final : public QueueWorker {
  public:
    struct Options {
        IoChoice io = IoChoice::Auto;
        bool has_rate_limit = false;  ///< waits for a time, so it needs the thread
        Backend& backend;             ///< is given to the loop under the device's lock
    };

    /// The references outlive the worker.
    VirtioWorker(IoService& service, KvmVm& vm, const Options& options)
        : service_(service), vm_(vm), options_(options) {}

    void on_start(VirtioCore& core) override REQUIRES(core.mutex());
    void on_stop(VirtioCore& /*core*/) override {}
    void on_doorbell(VirtioCore& core, u16 queue) override REQUIRES(core.mutex());
    void on_doorbells_moved(VirtioCore& core) override REQUIRES(core.mutex());
    void on_completed(VirtioCore& core, u16 queue) override REQUIRES(core.mutex());
    void run_again(VirtioCore& core, u16 queue) override REQUIRES(core.mutex());
    void run_at(VirtioCore& core, u16 queue, u64 deadline_ns) override REQUIRES(core.mutex());
    [[nodiscard]] bool is_ending() const override { return service_.stop().is_requested(); }

    [[nodiscard]] bool is_promoted() const { return mode_ == Mode::Promoted; }
    /// Writes to the queue's doorbell that ended inside the kernel.
    [[nodiscard]] u64 doorbells_caught(u16 queue) const;

  private:
    enum class Mode : u8 { Inline, Promoting, Promoted };

    /// One queue on the I/O thread: runs when asked, when its doorbell rings, and when its time has come.
    class Queue final : public WatchedQueue, private Task, private Operation, private Timer {
      public:
        Queue(VirtioWorker& worker, VirtioCore& core, u16 index)
            : worker_(worker), core_(core), ring_(core.queue(index)), index_(index), publisher_(*this) {}
        ~Queue() override = default;

        [[nodiscard]] bool has_work() const override { return ring_.has_work(); }
        void work() override;
        [[nodiscard]] bool rearm() override;
        void suppress() override;

        Result<void> open_doorbell(Loop& loop);
        /// The doorbells moved: the kernel stops catching them at the old places.
        void leave_doorbells();
        /// A doorbell trapped: from now on the kernel catches it there, unless it moved too often.
        void follow_doorbell();
        void request(IoThread& thread);
        void request_at(Loop& loop, u64 deadline_ns);
        void request_publish(Loop& loop) { loop.at_turn_end(publisher_); }
        [[nodiscard]] u64 doorbells_caught() const;

      private:
        class Publisher final : public Task {
          public:
            explicit Publisher(Queue& queue) : queue_(queue) {}
            void run() override;

          private:
            Queue& queue_;
        };
        void run() override { work(); }
        /// \returns `place`, or nothing where KVM refuses it.
        [[nodiscard]] std::optional<DoorbellPlace> attach(const DoorbellPlace& place) const;
        void on_complete(i32 result, bool has_more) override;
        void on_time() override { work(); }

        VirtioWorker& worker_;
        VirtioCore& core_;
        VirtQueue& ring_;
        u16 index_;
        Publisher publisher_;
        std::optional<EventFd> doorbell_;
        DoorbellPlaces places_;   // where the kernel catches it
        bool has_moved_ = false;  // and the kernel still watches the old place
    };

    /// Runs once on the I/O thread: the steps that must happen there before the device is promoted.
    class Promotion final : public Task {
      public:
        explicit Promotion(VirtioWorker& worker) : worker_(worker) {}
        void run() override;
        VirtioCore* core = nullptr;

      private:
        VirtioWorker& worker_;
    };

    void run_inline(VirtioCore& core, u16 queue) REQUIRES(core.mutex());
    /// After a doorbell whose work took from `begin_ns` to `end_ns`.
    [[nodiscard]] bool is_hot(u64 begin_ns, u64 end_ns);
    /// False without an I/O thread: the device stays inline, or the machine is ending.
    [[nodiscard]] bool promote(VirtioCore& core) REQUIRES(core.mutex());
    [[nodiscard]] bool needs_thread(const VirtioCore& core) const;
    Result<void> finish_promotion(VirtioCore& core) REQUIRES(core.mutex());

    IoService& service_;
    KvmVm& vm_;
    Options options_;
    Mode mode_ = Mode::Inline;
    bool is_inside_ = false;  // run_inline() is under way
    u64 due_ = 0;             // the queues that it has to run
    u64 window_begin_ns_ = 0;
    u32 window_doorbells_ = 0;
    u64 window_work_ns_ = 0;
    std::deque<Queue> queues_;  // made at promotion
    Promotion promotion_{*this};
};

}  // namespace mayfly
