// SPDX-License-Identifier: Apache-2.0
// SnapshotTrigger: the moment of a machine's snapshot, of which there is one, and the thread that waits for
// it.
//
// A moment that the guest marks by an instruction is exact: no vCPU gets beyond that before the machine is
// paused. Thread: as said at each function.
#pragma once

#include <atomic>
#include <optional>

#include "devices/platform/ready_port.h"
#include "vmm/error/result.h"
#include "vmm/machine/lifecycle/run_control.h"
#include "vmm/os/event_fd.h"

namespace mayfly {

/// --snapshot-at
struct SnapshotMoment {
    enum class Kind : u8 {
        Ready,   ///< a write to ReadyPort
        Signal,  ///< SIGUSR2
        Mark,    ///< the boot mark `mark`
    };
    Kind kind = Kind::Ready;
    u32 mark = 0;
};

class SnapshotTrigger final : public ReadySink {
  public:
    /// `vcpus` outlives this.
    explicit SnapshotTrigger(RunControl& vcpus) : vcpus_(vcpus) {}

    /// A snapshot is wanted. Before signals are handled, and the machine is made; once. Errors: Os.
    Result<void> arm(SnapshotMoment moment);
    [[nodiscard]] bool is_armed(SnapshotMoment::Kind kind) const;

    // --- a vCPU's thread, in the exit that is the moment ---

    void on_ready() override { reach(SnapshotMoment::Kind::Ready); }
    void on_mark(u32 value) {
        if (is_armed(SnapshotMoment::Kind::Mark) && value == moment_.mark) reach(SnapshotMoment::Kind::Mark);
    }

    // --- any thread ---

    /// The moment has come, and is the one when the machine pauses; a second time means nothing. False: this
    /// kind is not the snapshot's. Async-signal-safe.
    bool request(SnapshotMoment::Kind kind) noexcept;

    // --- the thread that makes the snapshot ---

    /// Returns when the moment has come; false once it cannot come any more.
    [[nodiscard]] bool wait();
    /// The machine has ended. Any thread.
    void cancel() noexcept;

  private:
    void reach(SnapshotMoment::Kind kind);
    [[nodiscard]] bool claim(SnapshotMoment::Kind kind) noexcept;

    RunControl& vcpus_;
    SnapshotMoment moment_;
    std::optional<EventFd> came_;
    std::atomic<bool> is_waited_for_ = false;
    std::atomic<bool> is_cancelled_ = false;
};

}  // namespace mayfly
