// SPDX-License-Identifier: Apache-2.0
// Local APIC set-up and inter-processor interrupts.
#include "firmware/guests/runtime/apic.h"

namespace guest::apic {

constinit bool is_x2apic = false;

namespace {

constexpr u32 kSoftwareEnable = 1 << 8;

[[gnu::interrupt]] void on_spurious(InterruptFrame* /*frame*/) {}

}  // namespace

bool has_x2apic() { return (cpuid(1, 0).ecx & 1 << 21) != 0; }

void enable() { enable_in(has_x2apic()); }

void enable_in(bool x2apic) {
    const u64 base = read_msr(kBaseMsr);
    const u64 wanted = base | kBaseEnabled | (x2apic ? kBaseX2Apic : 0);
    if (wanted != base) write_msr(kBaseMsr, wanted);
    is_x2apic = x2apic;
    set_gate(kSpuriousVector, on_spurious);
    write(Register::SpuriousVector, kSoftwareEnable | kSpuriousVector);
    write(Register::Lint0Entry,
          kDeliverExtInt | kMasked);  // firmware may have left the 8259s running
}

u32 id() {
    const u32 value = read(Register::Id);
    return is_x2apic ? value : value >> 24;
}

void send_ipi(u32 destination, u32 command) {
    if (is_x2apic) {
        write_msr(0x800 + (static_cast<u32>(Register::InterruptCommand) >> 4),
                  u64{destination} << 32 | command);
        return;
    }
    mmio_write(kBaseAddress + static_cast<u32>(Register::InterruptCommand) + 0x10, destination << 24);
    mmio_write(kBaseAddress + static_cast<u32>(Register::InterruptCommand), command);
}

}  // namespace guest::apic
