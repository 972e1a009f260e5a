// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/crash_report.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "vmm/machine/vcpu/instruction_class.h"

namespace mayfly {

namespace {

constexpr std::size_t kInstructionMax = 15;  // Intel SDM Vol. 2A §2.3.11 "AVX Instruction Length"
constexpr u64 kEmulationBytesFlag = 1;       // KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES

struct Instruction {
    std::array<u8, kInstructionMax> bytes{};
    std::size_t size = 0;
    [[nodiscard]] std::span<const u8> span() const { return std::span(bytes).first(size); }
};

/// The bytes KVM reports, or, from a KVM that reports none, those at RIP.
Instruction failing_instruction(const KvmVcpu& vcpu, u64 linear_rip, const GuestMemory& memory) {
    Instruction found;
    const kvm_run& run = vcpu.run_page();
    const auto& failure = run.emulation_failure;
    if (failure.ndata >= 4 && (failure.flags & kEmulationBytesFlag) != 0) {
        found.size = std::min<std::size_t>(failure.insn_size, kInstructionMax);
        std::memcpy(found.bytes.data(), failure.insn_bytes, found.size);
    }
    if (found.size > 0) return found;
    const std::optional<Gpa> at = vcpu.translate(linear_rip);
    if (!at) return found;
    for (; found.size < kInstructionMax; ++found.size) {
        const std::optional<u8> byte = memory.read_object<u8>(*at + found.size);
        if (!byte) break;
        found.bytes[found.size] = *byte;
    }
    return found;
}

std::string hex(std::span<const u8> bytes) { return fmt::format("{:02x}", fmt::join(bytes, " ")); }

std::string where(const KvmVcpu& vcpu, const Result<kvm_regs>& regs) {
    if (!regs) return fmt::format("vCPU {}", vcpu.id());
    return fmt::format("vCPU {} at RIP {:#x}", vcpu.id(), regs->rip);
}

std::string emulation_failure(const KvmVcpu& vcpu, const GuestMemory& memory, KvmFlavour flavour) {
    const Result<kvm_regs> regs = vcpu.regs();
    const Result<kvm_sregs> sregs = vcpu.sregs();
    const u64 rip = regs ? regs->rip : 0;
    const bool is_64bit = sregs && sregs->cs.l != 0;
    const u64 linear = is_64bit || !sregs ? rip : sregs->cs.base + rip;
    const Instruction instruction = failing_instruction(vcpu, linear, memory);
    std::string line =
        fmt::format("the guest crashed: KVM could not emulate an instruction, {}", where(vcpu, regs));
    if (instruction.size == 0) {
        line += ", which is not in guest memory";
    } else {
        line += fmt::format(": {} ({})", hex(instruction.span()),
                            instruction_class(instruction.span(), is_64bit));
    }
    if (flavour == KvmFlavour::Pvm)
        line +=
            "; this host's KVM (kvm_pvm) interprets guest ring 0 and its interpreter lacks this "
            "instruction: a host with VMX or SVM runs it";
    return line;
}

std::string triple_fault(const KvmVcpu& vcpu) {
    constexpr u64 kResetRip = 0xfff0;
    const Result<kvm_regs> regs = vcpu.regs();
    std::string line = fmt::format("the guest crashed: triple fault, {}", where(vcpu, regs));
    // AMD's shutdown intercept leaves no state behind, and KVM resets the vCPU before it reports.
    if (regs && regs->rip == kResetRip) line += ", the reset value: this host's KVM lost the real RIP";
    return line;
}

std::string_view internal_error_name(u32 suberror) {
    switch (suberror) {
        case KVM_INTERNAL_ERROR_EMULATION: return "emulation";
        case KVM_INTERNAL_ERROR_SIMUL_EX: return "simultaneous exceptions";
        case KVM_INTERNAL_ERROR_DELIVERY_EV: return "event delivery";
        case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON: return "unexpected hardware exit";
        default: return "unknown";
    }
}

std::string fatal_exit(const KvmVcpu& vcpu) {
    const kvm_run& run = vcpu.run_page();
    const Result<kvm_regs> regs = vcpu.regs();
    const std::string at = where(vcpu, regs);
    const std::string_view name = exit_reason_name(run.exit_reason);
    switch (run.exit_reason) {
        case KVM_EXIT_INTERNAL_ERROR:
            return fmt::format("the guest crashed: {} {} ({}), {}", name, run.internal.suberror,
                               internal_error_name(run.internal.suberror), at);
        case KVM_EXIT_FAIL_ENTRY:
            return fmt::format("the guest crashed: {}, hardware reason {:#x}, {}", name,
                               u64{run.fail_entry.hardware_entry_failure_reason}, at);
        case KVM_EXIT_UNKNOWN:
            return fmt::format("the guest crashed: {}, hardware reason {:#x}, {}", name,
                               u64{run.hw.hardware_exit_reason}, at);
        default:
            return fmt::format("the guest crashed: {} (exit reason {}) is unexpected on this machine, {}",
                               name, run.exit_reason, at);
    }
}

}  // namespace

std::string crash_report(RunOutcome outcome, const KvmVcpu& vcpu, const GuestMemory& memory,
                         KvmFlavour flavour) {
    switch (outcome) {
        case RunOutcome::TripleFault: return triple_fault(vcpu);
        case RunOutcome::EmulationFailure: return emulation_failure(vcpu, memory, flavour);
        default: return fatal_exit(vcpu);
    }
}

}  // namespace mayfly
