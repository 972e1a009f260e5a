// SPDX-License-Identifier: Apache-2.0
// StopControl: the one place that decides that a machine ends, and brings every vCPU thread to notice.
//
// The first reason counts. Kicking a vCPU is immediate_exit plus a signal: the flag ends the next KVM_RUN,
// the signal ends the present one, so no kick is lost between them. Thread: any; end_from_signal() also from
// signal handlers.
#pragma once

#include <array>
#include <atomic>

#include <linux/kvm.h>

#include "devices/io/guest_verdict.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

class StopControl final : public VerdictSink {
  public:
    static constexpr std::size_t kVcpusMax = 64;

    /// Before the vCPU's thread starts.
    void add_vcpu(kvm_run& run);
    /// Called by the vCPU's own thread before its first KVM_RUN, and with `is_inside` false after its last.
    void set_thread(std::size_t index, bool is_inside);
    /// A descriptor to signal as well, for a thread that waits outside KVM_RUN. Outlives this object.
    void set_wake(const EventFd* wake) { wake_.store(wake, std::memory_order_release); }

    void decide(Verdict verdict, u64 value) override;
    void end(Ending ending);
    /// Async-signal-safe: no message, no allocation, no lock. When the machine is ending already, kicks
    /// again.
    void end_from_signal(EndKind kind, u64 value) noexcept;
    /// Makes every vCPU leave KVM_RUN once.
    void kick_all() noexcept;

    [[nodiscard]] bool is_requested() const { return claimed_.load(std::memory_order_acquire); }
    /// The same, for work that knows no machine. This object outlives it.
    [[nodiscard]] StopToken token() const { return StopToken(claimed_); }
    /// The end does not wait for a reader of the console that has stalled: it came from outside the guest, or
    /// somebody insists on it.
    [[nodiscard]] bool is_abrupt() const;
    /// The reason; waits for the thread that gave it to finish saying so. Only after is_requested().
    [[nodiscard]] Ending ending() const;
    /// vCPU threads that are still between their first and last KVM_RUN.
    [[nodiscard]] std::size_t threads_inside() const;

  private:
    struct Slot {
        kvm_run* run = nullptr;
        std::atomic<int> thread_id = 0;
    };
    [[nodiscard]] bool claim() noexcept;

    std::array<Slot, kVcpusMax> slots_;
    std::atomic<std::size_t> slot_count_ = 0;
    std::atomic<const EventFd*> wake_ = nullptr;
    std::atomic<bool> claimed_ = false;
    std::atomic<bool> published_ = false;
    std::atomic<bool> is_insisted_ = false;
    Ending ending_;
};

/// The signal that interrupts KVM_RUN. Its handler does nothing.
[[nodiscard]] int kick_signal();

}  // namespace mayfly
