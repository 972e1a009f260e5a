// SPDX-License-Identifier: Apache-2.0
// DeferredRam: guest RAM that KVM is told about when the guest first touches it.
//
// A KVM that shadows page tables keeps 10 bytes per 4 KiB page of a memory slot and clears them when the slot
// is made: 4 ms for 8 GiB, more than everything else in a boot, for memory that a short-lived guest never
// touches. There, only the first kUpfrontBytes are made slots at once. The rest is an MMIO range with this
// device in it: the first access makes it a slot and completes as memory. Nothing the guest sees differs: a
// page table or code in such memory had to be written first, and that write was the first access. Thread: any
// vCPU thread; the bus lock serialises.
#pragma once

#include <array>
#include <span>

#include "devices/io/bus.h"
#include "vmm/kvm/kvm_vm.h"
#include "vmm/machine/stop_control.h"
#include "vmm/memory/guest_memory.h"

namespace mayfly {

class DeferredRam final : public IoDevice {
  public:
    /// Low RAM, where loaders put kernels and tables, is always below this.
    static constexpr u64 kUpfrontBytes = MiB(128);

    /// `regions` are parts of `memory`; slots are numbered from `first_slot`.
    DeferredRam(KvmVm& vm, const GuestMemory& memory, std::span<const GuestRegion> regions, u32 first_slot,
                StopControl& stop);

    void map_onto(Bus& mmio);

    [[nodiscard]] std::string_view name() const override { return "deferred-ram"; }
    /// Offsets are guest-physical addresses.
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override {}

    /// Makes the slots if they are not there yet. \returns whether it did.
    bool attach();

  private:
    KvmVm& vm_;
    const GuestMemory& memory_;
    std::array<GuestRegion, GuestMemory::kRegionsMax + 1> regions_{};
    std::size_t count_;
    u32 first_slot_;
    StopControl& stop_;
    bool is_attached_ = false;
};

}  // namespace mayfly
