// SPDX-License-Identifier: Apache-2.0
// StopControl: the one place that decides that a machine ends, and makes every vCPU thread notice.
//
// The first reason counts. Thread: any; end_from_signal() also from signal handlers.
#pragma once

#include <atomic>

#include "devices/io/guest_verdict.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/machine/lifecycle/guest_gate.h"
#include "vmm/machine/lifecycle/run_control.h"
#include "vmm/machine/lifecycle/signal_relay.h"
#include "vmm/machine/lifecycle/snapshot_trigger.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

class StopControl final : public VerdictSink {
  public:
    void decide(Verdict verdict, u64 value) override;
    void end(Ending ending);
    /// Async-signal-safe: no message, no allocation, no lock. When the machine is ending already, kicks
    /// again.
    void end_from_signal(EndKind kind, u64 value) noexcept;

    /// The machine's vCPUs.
    [[nodiscard]] RunControl& vcpus() { return vcpus_; }
    [[nodiscard]] const RunControl& vcpus() const { return vcpus_; }
    /// For the program in the guest.
    [[nodiscard]] SignalRelay& signals() { return signals_; }
    /// For the machine's helper threads.
    [[nodiscard]] GuestGate& gate() { return gate_; }
    [[nodiscard]] SnapshotTrigger& snapshot() { return snapshot_; }

    [[nodiscard]] bool is_requested() const { return claimed_.load(std::memory_order_acquire); }
    /// The same, for code that does not know machines. This object outlives it.
    [[nodiscard]] StopToken token() const { return StopToken(claimed_); }
    /// The end does not wait for a stalled reader of the console: it came from outside the guest, or was
    /// requested twice.
    [[nodiscard]] bool is_abrupt() const;
    /// The reason; waits until the thread that gave it has stored it whole. Only after is_requested().
    [[nodiscard]] Ending ending() const;

  private:
    [[nodiscard]] bool claim() noexcept;
    void bring_out() noexcept;

    std::atomic<bool> claimed_ = false;
    std::atomic<bool> published_ = false;
    std::atomic<bool> was_signalled_again_ = false;
    Ending ending_;
    RunControl vcpus_{token()};
    GuestGate gate_;
    SignalRelay signals_;
    SnapshotTrigger snapshot_{vcpus_};
};

}  // namespace mayfly
