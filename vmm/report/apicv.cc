// SPDX-License-Identifier: Apache-2.0
#include "vmm/report/apicv.h"

#include <cstring>

#include "vmm/kvm/ioctl.h"

namespace mayfly {

namespace {

constexpr u64 kDefaultBase = 0xfee0'0000;
constexpr u64 kPageMask = 0xfff;
constexpr u64 kBaseX2Apic = 1 << 10;
constexpr u64 kBaseEnabled = 1 << 11;
constexpr std::size_t kIdOffset = 0x20;

}  // namespace

bool keeps_apicv_off(u64 base_msr, u32 id_register, u32 vcpu_id) {
    if ((base_msr & kBaseEnabled) == 0) return false;
    if ((base_msr & ~kPageMask) != kDefaultBase) return true;
    return (base_msr & kBaseX2Apic) == 0 && id_register >> 24 != (vcpu_id & 0xff);
}

bool keeps_apicv_off(const KvmVcpu& vcpu) {
    kvm_lapic_state lapic{};
    const Result<kvm_sregs> sregs = vcpu.sregs();
    if (!sregs || !KVM_IOCTL(vcpu.fd(), KVM_GET_LAPIC, &lapic)) return false;
    u32 id = 0;
    std::memcpy(&id, lapic.regs + kIdOffset, sizeof id);
    return keeps_apicv_off(sregs->apic_base, id, vcpu.id());
}

}  // namespace mayfly
