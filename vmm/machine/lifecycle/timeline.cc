// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/timeline.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "vmm/os/clock.h"
#include "vmm/os/text_file.h"

namespace mayfly {

namespace {

/// How long this thread, the process's first, has waited for a CPU: the second figure.
/// Spec: Linux Documentation/scheduler/sched-stats.rst "/proc/<pid>/schedstat".
u64 waited_ns() {
    const std::string text = read_text_file("/proc/self/schedstat", 128);
    u64 waited = 0;
    if (const std::size_t space = text.find(' '); space != std::string::npos)
        std::from_chars(text.data() + space + 1, text.data() + text.size(), waited);
    return waited;
}

}  // namespace

std::string_view to_string(Phase phase) {
    switch (phase) {
        case Phase::Main: return "main";
        case Phase::KvmOpened: return "kvm_opened";
        case Phase::VmCreated: return "vm_created";
        case Phase::MemoryMapped: return "memory_mapped";
        case Phase::KernelLoaded: return "kernel_loaded";
        case Phase::Irqchip: return "irqchip";
        case Phase::Vcpus: return "vcpus";
        case Phase::FirstRun: return "first_kvm_run";
        case Phase::FirstExit: return "first_exit";
        case Phase::Exit: return "exit";
    }
    return "";
}

void Timeline::reach(Phase phase) { reach_at(phase, monotonic_ns()); }

void Timeline::reach_at(Phase phase, u64 monotonic_ns) {
    u64& slot = phases_[static_cast<std::size_t>(phase)];
    if (slot == 0) slot = monotonic_ns;
}

void Timeline::guest_mark(u32 value) {
    const u64 now = monotonic_ns();
    const u64 index = mark_count_.fetch_add(1, std::memory_order_relaxed);
    if (index < kMarksMax) marks_[index] = {now, value};
}

void Timeline::estimate_exec() {
    // A reading that was interrupted has times of different moments, so the shortest of a few is taken.
    constexpr int kReadings = 8;
    constexpr u64 kShortNs = 100'000;
    u64 least_ns = ~u64{0};
    for (int reading = 0; reading < kReadings && least_ns > kShortNs; ++reading) {
        const u64 before_ns = monotonic_ns();
        const u64 account_ns = waited_ns() + thread_cpu_ns();
        const u64 now_ns = monotonic_ns();
        if (now_ns - before_ns >= least_ns) continue;
        least_ns = now_ns - before_ns;
        exec_ns_ = std::min(now_ns - std::min(now_ns, account_ns), phase_ns(Phase::Main));
    }
}

std::span<const GuestMark> Timeline::marks() const {
    const u64 count = mark_count_.load(std::memory_order_acquire);
    return std::span(marks_).first(std::min<std::size_t>(count, kMarksMax));
}

u64 Timeline::marks_dropped() const {
    const u64 count = mark_count_.load(std::memory_order_acquire);
    return count - std::min<u64>(count, kMarksMax);
}

}  // namespace mayfly
