// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/early_console.h"

#include <algorithm>
#include <cstring>

#include "firmware/layout.h"
#include "vmm/kvm/coalesced_writes.h"

namespace mayfly {

Result<void> EarlyConsole::add_memory(KvmVm& vm, u32 slot) {
    page_ = TRY(Mapping::anonymous(layout::kEarlyConsoleBytes));
    std::memcpy(page_.data(), EarlyUart::kRegisters.data(), EarlyUart::kRegisters.size());
    const GuestRegion region{
        .base = layout::kEarlyConsole, .size_bytes = page_.size_bytes(), .host = page_.data()};
    (void)vm.set_readonly_memory(slot, region);
    return {};
}

void EarlyConsole::map_onto(Bus& mmio, KvmVm& vm) {
    mmio.map(layout::kEarlyConsole.value, EarlyUart::kSizeBytes, uart_);
    mmio_ = &mmio;
    const int ring_page = vm.check(KVM_CAP_COALESCED_MMIO);
    if (ring_page > 0 && vm.coalesce_mmio(layout::kEarlyConsole + EarlyUart::kTransmit, 1))
        ring_page_ = ring_page;
}

bool EarlyConsole::has_collected(const KvmVcpu& vcpu) const {
    const kvm_coalesced_mmio_ring* ring = ring_page_ != 0 ? vcpu.coalesced_ring(ring_page_) : nullptr;
    return ring != nullptr &&
           __atomic_load_n(&ring->first, __ATOMIC_RELAXED) != __atomic_load_n(&ring->last, __ATOMIC_RELAXED);
}

void EarlyConsole::drain(const KvmVcpu& vcpu) {
    if (!has_collected(vcpu)) return;
    kvm_coalesced_mmio_ring* ring = vcpu.coalesced_ring(ring_page_);
    const Lock guard(mutex_);
    (void)drain_coalesced_writes(ring, [this](const kvm_coalesced_mmio& entry) {
        u64 value = 0;
        std::memcpy(&value, entry.data, sizeof value);
        if (entry.len >= 1 && entry.len <= sizeof value)
            mmio_->write(entry.phys_addr, static_cast<u8>(entry.len), value);
    });
}

}  // namespace mayfly
