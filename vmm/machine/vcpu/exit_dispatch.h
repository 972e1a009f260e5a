// SPDX-License-Identifier: Apache-2.0
// dispatch_exit: one KVM exit, turned into bus accesses or into an outcome for the vCPU thread.
//
// A free function over the kvm_run bytes, so that it is tested and fuzzed on a plain buffer. Nothing in the
// bytes is trusted: lengths, offsets and counts are checked although the kernel wrote them.
// Thread: the vCPU's own thread.
// Spec: Linux Documentation/virt/kvm/api.rst §5 "The kvm_run structure".
#pragma once

#include <span>
#include <string_view>

#include "devices/io/bus.h"
#include "vmm/machine/vcpu/exit_counts.h"

namespace mayfly {

enum class RunOutcome : u8 {
    Continue,
    Halted,            ///< HLT without an in-kernel LAPIC
    WindowOpen,        ///< the guest can take an interrupt now
    TripleFault,       ///< KVM_EXIT_SHUTDOWN
    PowerOff,          ///< KVM_SYSTEM_EVENT_SHUTDOWN
    Reset,             ///< KVM_SYSTEM_EVENT_RESET
    Panic,             ///< KVM_SYSTEM_EVENT_CRASH
    EmulationFailure,  ///< KVM_INTERNAL_ERROR_EMULATION
    Fatal,             ///< any other exit: unexpected
};

struct Buses {
    const Bus& ports;
    const Bus& mmio;
};

/// `run` starts with a struct kvm_run. Counts the exit in `counts`.
[[nodiscard]] RunOutcome dispatch_exit(std::span<std::byte> run, const Buses& buses, ExitCounts& counts);

/// "KVM_EXIT_IO", or "KVM exit 99" for one newer than this program.
[[nodiscard]] std::string_view exit_reason_name(u32 reason);

}  // namespace mayfly
