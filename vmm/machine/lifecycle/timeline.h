// SPDX-License-Identifier: Apache-2.0
// Timeline: when each phase of a boot was reached, in nanoseconds since the process was executed.
//
// Marks cost one clock read. Guest marks past kMarksMax are counted, not kept.
// Thread: phases by the main thread; guest marks by any vCPU thread.
#pragma once

#include <array>
#include <atomic>
#include <span>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

enum class Phase : u8 {
    Main,  ///< main() was entered
    KvmOpened,
    VmCreated,
    MemoryMapped,
    KernelLoaded,
    Irqchip,
    Vcpus,
    FirstRun,   ///< just before the first KVM_RUN
    FirstExit,  ///< KVM_RUN returned for the first time
    Exit,       ///< the guest has ended
};
constexpr std::size_t kPhaseCount = 10;

[[nodiscard]] std::string_view to_string(Phase phase);

struct GuestMark {
    u64 at_ns = 0;  ///< CLOCK_MONOTONIC
    u32 value = 0;
};

class Timeline {
  public:
    static constexpr std::size_t kMarksMax = 256;

    /// Sets the phase's time the first time it is reached; later calls are ignored.
    void reach(Phase phase);
    void reach_at(Phase phase, u64 monotonic_ns);
    void guest_mark(u32 value);

    /// The moment of exec on CLOCK_MONOTONIC, as the scheduler accounts for it: now, less the time the
    /// main thread has run and has waited for a CPU. Time blocked on disk before main() is not included; time
    /// of the process before it executed us (a shell's `exec mayfly`) is: the account begins at the fork. The
    /// only thread, before it first blocks; reads /proc, so only on request.
    void estimate_exec();

    [[nodiscard]] u64 exec_ns() const { return exec_ns_; }
    /// 0: never reached.
    [[nodiscard]] u64 phase_ns(Phase phase) const { return phases_[static_cast<std::size_t>(phase)]; }
    [[nodiscard]] std::span<const GuestMark> marks() const;
    [[nodiscard]] u64 marks_dropped() const;

  private:
    u64 exec_ns_ = 0;
    std::array<u64, kPhaseCount> phases_{};
    std::array<GuestMark, kMarksMax> marks_{};
    std::atomic<u64> mark_count_ = 0;
};

}  // namespace mayfly
