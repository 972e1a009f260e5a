// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/vcpu_check.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

namespace mayfly {

namespace {

// Intel SDM volume 3, "Local APIC Status and Location", "Local APIC ID Register".
constexpr u64 kBaseAddressBits = 0x000f'ffff'ffff'f000;
constexpr u64 kBaseAddress = 0xfee0'0000;
constexpr u64 kX2ApicBit = u64{1} << 10;
constexpr std::size_t kIdRegister = 0x20;
constexpr u32 kMsrApicBase = 0x1b;

u32 apic_id(const VcpuState& vcpu) {
    u32 id = 0;
    std::memcpy(&id, vcpu.lapic->regs + kIdRegister, sizeof id);
    return (vcpu.sregs.apic_base & kX2ApicBit) != 0 ? id : id >> 24;
}

Error refused(std::size_t index, std::string_view what) {
    return Error::invalid(fmt::format("vCPU {} of the snapshot has {}, which is not restored", index, what));
}

}  // namespace

Result<void> check_vcpus(std::span<const VcpuState> vcpus, std::size_t count) {
    if (vcpus.size() != count)
        return fail(Error::invalid(fmt::format("the snapshot is damaged: it has {} vCPUs, and its machine {}",
                                               vcpus.size(), count)));
    for (std::size_t index = 0; index < vcpus.size(); ++index) {
        const VcpuState& vcpu = vcpus[index];
        if (vcpu.lapic && (vcpu.sregs.apic_base & kBaseAddressBits) != kBaseAddress)
            return fail(refused(index, "moved its local APIC"));
        if (vcpu.lapic && apic_id(vcpu) != index)
            return fail(refused(index, fmt::format("the APIC id {}", apic_id(vcpu))));
        if (std::any_of(vcpu.msrs.begin(), vcpu.msrs.end(),
                        [](const kvm_msr_entry& msr) { return msr.index == kMsrApicBase; }))
            return fail(refused(index, "the APIC's base as an MSR"));
    }
    return {};
}

}  // namespace mayfly
