// SPDX-License-Identifier: Apache-2.0
// The words of the command line that every guest with virtio drivers understands:
// transport=pci|legacy|mmio, ring=split|packed, indirect=0|1, event_idx=0|1,
// irq=none|msix|intx|edge (and gsi=N: the pin, where it is not the one that the device names).
#pragma once

#include "firmware/guests/runtime/virtio_transport.h"

namespace guest::virtio {

[[nodiscard]] Kind transport_option();
/// RING_PACKED, INDIRECT_DESC and EVENT_IDX as asked for; the last two are on by default.
[[nodiscard]] u64 ring_options();

enum class Interrupt : u8 { None, Msix, Intx, Edge };
[[nodiscard]] Interrupt interrupt_option();

/// Interrupts of the device that was connected last: all, and those that its status register claims.
extern volatile u32 interrupts_seen;
extern volatile u32 config_interrupts_seen;

/// In ring 0, before run_user(): the APIC, and the handlers' gates.
void prepare_interrupts(Interrupt kind);
/// Has the device interrupt in this way: queues by MSI-X entry 0 and up, configuration changes by the last
/// one. `first_vector` is the value for the queues. False with a FAIL line when that is impossible.
bool connect_interrupts(const Transport& transport, Interrupt kind, u16& first_vector);

}  // namespace guest::virtio
