// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/exit_dispatch.h"

#include <array>
#include <cstring>

#include <linux/kvm.h>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

struct ReasonName {
    u32 reason;
    std::string_view name;
};

// Numbers are the kernel's ABI. Those newer than the build machine's header stand as numbers.
constexpr std::array kReasonNames{
    ReasonName{KVM_EXIT_UNKNOWN, "KVM_EXIT_UNKNOWN"},
    ReasonName{KVM_EXIT_EXCEPTION, "KVM_EXIT_EXCEPTION"},
    ReasonName{KVM_EXIT_IO, "KVM_EXIT_IO"},
    ReasonName{KVM_EXIT_HYPERCALL, "KVM_EXIT_HYPERCALL"},
    ReasonName{KVM_EXIT_DEBUG, "KVM_EXIT_DEBUG"},
    ReasonName{KVM_EXIT_HLT, "KVM_EXIT_HLT"},
    ReasonName{KVM_EXIT_MMIO, "KVM_EXIT_MMIO"},
    ReasonName{KVM_EXIT_IRQ_WINDOW_OPEN, "KVM_EXIT_IRQ_WINDOW_OPEN"},
    ReasonName{KVM_EXIT_SHUTDOWN, "KVM_EXIT_SHUTDOWN"},
    ReasonName{KVM_EXIT_FAIL_ENTRY, "KVM_EXIT_FAIL_ENTRY"},
    ReasonName{KVM_EXIT_INTR, "KVM_EXIT_INTR"},
    ReasonName{KVM_EXIT_SET_TPR, "KVM_EXIT_SET_TPR"},
    ReasonName{KVM_EXIT_TPR_ACCESS, "KVM_EXIT_TPR_ACCESS"},
    ReasonName{KVM_EXIT_S390_SIEIC, "KVM_EXIT_S390_SIEIC"},
    ReasonName{KVM_EXIT_S390_RESET, "KVM_EXIT_S390_RESET"},
    ReasonName{KVM_EXIT_DCR, "KVM_EXIT_DCR"},
    ReasonName{KVM_EXIT_NMI, "KVM_EXIT_NMI"},
    ReasonName{KVM_EXIT_INTERNAL_ERROR, "KVM_EXIT_INTERNAL_ERROR"},
    ReasonName{KVM_EXIT_OSI, "KVM_EXIT_OSI"},
    ReasonName{KVM_EXIT_PAPR_HCALL, "KVM_EXIT_PAPR_HCALL"},
    ReasonName{KVM_EXIT_S390_UCONTROL, "KVM_EXIT_S390_UCONTROL"},
    ReasonName{KVM_EXIT_WATCHDOG, "KVM_EXIT_WATCHDOG"},
    ReasonName{KVM_EXIT_S390_TSCH, "KVM_EXIT_S390_TSCH"},
    ReasonName{KVM_EXIT_EPR, "KVM_EXIT_EPR"},
    ReasonName{KVM_EXIT_SYSTEM_EVENT, "KVM_EXIT_SYSTEM_EVENT"},
    ReasonName{KVM_EXIT_S390_STSI, "KVM_EXIT_S390_STSI"},
    ReasonName{KVM_EXIT_IOAPIC_EOI, "KVM_EXIT_IOAPIC_EOI"},
    ReasonName{KVM_EXIT_HYPERV, "KVM_EXIT_HYPERV"},
    ReasonName{KVM_EXIT_ARM_NISV, "KVM_EXIT_ARM_NISV"},
    ReasonName{KVM_EXIT_X86_RDMSR, "KVM_EXIT_X86_RDMSR"},
    ReasonName{KVM_EXIT_X86_WRMSR, "KVM_EXIT_X86_WRMSR"},
    ReasonName{KVM_EXIT_DIRTY_RING_FULL, "KVM_EXIT_DIRTY_RING_FULL"},
    ReasonName{KVM_EXIT_AP_RESET_HOLD, "KVM_EXIT_AP_RESET_HOLD"},
    ReasonName{KVM_EXIT_X86_BUS_LOCK, "KVM_EXIT_X86_BUS_LOCK"},
    ReasonName{KVM_EXIT_XEN, "KVM_EXIT_XEN"},
    ReasonName{KVM_EXIT_RISCV_SBI, "KVM_EXIT_RISCV_SBI"},
    ReasonName{36, "KVM_EXIT_RISCV_CSR"},
    ReasonName{KVM_EXIT_NOTIFY, "KVM_EXIT_NOTIFY"},
    ReasonName{38, "KVM_EXIT_LOONGARCH_IOCSR"},
    ReasonName{39, "KVM_EXIT_MEMORY_FAULT"},
    ReasonName{40, "KVM_EXIT_TDX"},
};

u64 load(const std::byte* from, u8 size_bytes) {
    u64 value = 0;
    std::memcpy(&value, from, size_bytes);
    return value;
}

void store(std::byte* to, u8 size_bytes, u64 value) { std::memcpy(to, &value, size_bytes); }

bool is_io_size(u32 size_bytes) { return size_bytes == 1 || size_bytes == 2 || size_bytes == 4; }

RunOutcome dispatch_port(std::span<std::byte> bytes, const kvm_run& run, const Buses& buses,
                         ExitCounts& counts) {
    const u8 size = run.io.size;
    const u64 count = run.io.count;
    const u64 offset = run.io.data_offset;
    if (!is_io_size(size) || offset > bytes.size() || count > (bytes.size() - offset) / size)
        return RunOutcome::Fatal;
    const bool is_in = run.io.direction == KVM_EXIT_IO_IN;
    const u16 port = run.io.port;
    counts.count_address(is_in ? ExitSpace::PortIn : ExitSpace::PortOut, port, count * size);
    std::byte* at = bytes.data() + offset;
    for (u64 i = 0; i < count; ++i, at += size) {
        if (is_in) {
            store(at, size, buses.ports.read(port, size));
        } else {
            buses.ports.write(port, size, load(at, size));
        }
    }
    return RunOutcome::Continue;
}

RunOutcome dispatch_mmio(kvm_run& run, const Buses& buses, ExitCounts& counts) {
    const u32 size = run.mmio.len;
    const bool is_write = run.mmio.is_write != 0;
    if (size == 0 || size > sizeof run.mmio.data) return RunOutcome::Fatal;
    const u64 address = run.mmio.phys_addr;
    counts.count_address(is_write ? ExitSpace::MmioWrite : ExitSpace::MmioRead, address, size);
    std::array<std::byte, 8> data{};
    std::memcpy(data.data(), run.mmio.data, sizeof run.mmio.data);
    // An access that KVM cut at a page boundary may have an odd length; devices see power-of-two pieces.
    for (u32 done = 0; done < size;) {
        const u32 left = size - done;
        const u8 piece = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
        if (is_write) {
            buses.mmio.write(address + done, piece, load(data.data() + done, piece));
        } else {
            store(data.data() + done, piece, buses.mmio.read(address + done, piece));
        }
        done += piece;
    }
    if (!is_write) std::memcpy(run.mmio.data, data.data(), sizeof run.mmio.data);
    return RunOutcome::Continue;
}

RunOutcome dispatch_system_event(const kvm_run& run) {
    switch (run.system_event.type) {
        case KVM_SYSTEM_EVENT_SHUTDOWN: return RunOutcome::PowerOff;
        case KVM_SYSTEM_EVENT_RESET: return RunOutcome::Reset;
        case KVM_SYSTEM_EVENT_CRASH: return RunOutcome::Panic;
        default: return RunOutcome::Fatal;
    }
}

}  // namespace

RunOutcome dispatch_exit(std::span<std::byte> bytes, const Buses& buses, ExitCounts& counts) {
    // no guest: the bytes are KvmVcpu's mapping, of the size that KVM gave.
    VERIFY(bytes.size() >= sizeof(kvm_run));
    // SAFETY: the caller's bytes are page-aligned and start with a kvm_run.
    kvm_run& run = *reinterpret_cast<kvm_run*>(bytes.data());
    counts.count_reason(run.exit_reason);
    switch (run.exit_reason) {
        case KVM_EXIT_IO: return dispatch_port(bytes, run, buses, counts);
        case KVM_EXIT_MMIO: return dispatch_mmio(run, buses, counts);
        case KVM_EXIT_HLT: return RunOutcome::Halted;
        case KVM_EXIT_IRQ_WINDOW_OPEN: return RunOutcome::WindowOpen;
        // A signal, or a change of CR8, which only a LAPIC in user space would need.
        case KVM_EXIT_INTR:
        case KVM_EXIT_SET_TPR: return RunOutcome::Continue;
        case KVM_EXIT_SHUTDOWN: return RunOutcome::TripleFault;
        case KVM_EXIT_SYSTEM_EVENT: return dispatch_system_event(run);
        case KVM_EXIT_INTERNAL_ERROR:
            return run.internal.suberror == KVM_INTERNAL_ERROR_EMULATION ? RunOutcome::EmulationFailure
                                                                         : RunOutcome::Fatal;
        default: return RunOutcome::Fatal;
    }
}

std::string_view exit_reason_name(u32 reason) {
    for (const ReasonName& row : kReasonNames) {
        if (row.reason == reason) return row.name;
    }
    return "a KVM exit newer than this program";
}

}  // namespace mayfly
