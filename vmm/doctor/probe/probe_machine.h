// SPDX-License-Identifier: Apache-2.0
// ProbeMachine: the machine of the probe guest, ready to run, and what the two threads of the doctor share.
// probe.cc does the measuring. Thread: made by the main thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "vmm/doctor/facts/facts.h"
#include "vmm/doctor/probe/probe_guest.h"
#include "vmm/kvm/kvm_system.h"
#include "vmm/kvm/stats.h"
#include "vmm/memory/guest_ram.h"
#include "vmm/os/event_fd.h"

namespace mayfly {

inline constexpr u32 kProbeMsiAddress =
    0xfee0'0000;  // physical destination 0; Intel SDM Vol. 3A §10.11.1 "Message Address Register"

enum class ProbeStage : u8 {
    Starting,    ///< the guest has not come to its first port write
    Measuring,   ///< the vCPU thread works through the parts by itself
    Delivering,  ///< the guest is busy; the main thread sends interrupts
    Timing,      ///< the guest halts until its timer fires, some times
    Ended,
};

/// On the heap: outlives a vCPU thread that cannot be stopped.
struct ProbeMachine {
    ProbeMachine(GuestRam guest_ram, KvmVm machine, KvmVcpu processor);

    [[nodiscard]] std::optional<u64> injections() const;
    [[nodiscard]] u32 word(Gpa at) const { return ram.memory().load_acquire<u32>(at).value_or(0); }

    // In this order: RAM is freed last.
    GuestRam ram;
    KvmVm vm;
    KvmVcpu vcpu;
    std::optional<EventFd> irqfd;     // empty: not attached
    std::optional<EventFd> doorbell;  // the same
    std::optional<KvmStats> stats;    // empty: KVM keeps none
    bool has_deadline_timer = false;
    std::atomic<ProbeStage> stage = ProbeStage::Starting;
    std::atomic<bool> gives_up = false;       // set by the main thread, then the vCPU thread ends
    bool was_stopped = false;                 // the vCPU thread's: it ends for that reason
    bool has_ended_early = false;             // the vCPU thread's: the guest ran, and did what it never does
    std::atomic<int> thread_id = 0;           // of the vCPU thread
    std::atomic<u64> deadline_ns = 0;         // optional parts do not begin after that
    std::atomic<u64> timer_armed_ns = 0;      // since when the guest waits for its timer; 0: it does not wait
    std::atomic<bool> seemed_asleep = false;  // by the main thread, when the timer was overdue
    ProbeFacts facts;  // the vCPU thread's until ProbeStage::Ended, then the main thread's
};

/// Errors: features that every guest needs and KVM refused. Features that are only measured may be missing,
/// which `facts.unfinished` tells. `tsc_khz`: the guest's TSC rate, 0 for KVM's default.
[[nodiscard]] Result<std::unique_ptr<ProbeMachine>> make_probe_machine(const KvmSystem& kvm, GuestRam ram,
                                                                       u32 tsc_khz);

}  // namespace mayfly
