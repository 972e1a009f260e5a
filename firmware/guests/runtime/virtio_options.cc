// SPDX-License-Identifier: Apache-2.0
// Options, and interrupts by MSI-X, INTx or an edge pin.
#include "firmware/guests/runtime/virtio_options.h"

#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/runtime/legacy.h"

namespace guest::virtio {

constinit volatile u32 interrupts_seen = 0;
constinit volatile u32 config_interrupts_seen = 0;

namespace {

constexpr u8 kStatusConfig = 2;

constinit const Transport* pin_user = nullptr;

/// The status register must be read, or a level pin stays up.
[[gnu::interrupt]] void on_pin(InterruptFrame* /*frame*/) {
    const u8 bits = pin_user != nullptr ? pin_user->take_interrupt() : u8{0};
    if (bits != 0) interrupts_seen = interrupts_seen + 1;
    if ((bits & kStatusConfig) != 0) config_interrupts_seen = config_interrupts_seen + 1;
    apic::end_of_interrupt();
}

bool connect_msix(const Transport& transport, u16& first_vector) {
    pci::Msix msix;
    if (transport.kind() == Kind::Mmio || !msix.find(transport.function()) || msix.size() < 2) {
        fail("msix: not there");
        return false;
    }
    for (u32 entry = 0; entry + 1 < msix.size(); ++entry) msix.set(entry, kMsiVector);
    msix.set(msix.size() - 1, kPinVector);
    msix.enable(true, false);
    first_vector = 0;
    return true;
}

bool connect_pin(const Transport& transport, bool is_level) {
    const u32 pin = static_cast<u32>(option_value("gsi", transport.line()));
    if (ioapic::read(ioapic::kVersion) == ~u32{0}) {
        fail("ioapic: not there");
        return false;
    }
    if (pin > (ioapic::read(ioapic::kVersion) >> 16 & 0xff)) {
        fail("ioapic: no such pin, say gsi=N");
        return false;
    }
    pin_user = &transport;
    ioapic::write_pin(pin, kSecondPinVector | (is_level ? ioapic::kLevel : 0));
    return true;
}

}  // namespace

Kind transport_option() {
    if (option_is("transport", "legacy")) return Kind::Legacy;
    return option_is("transport", "mmio") ? Kind::Mmio : Kind::Pci;
}

u64 ring_options() {
    u64 features = option_is("ring", "packed") ? kPacked : 0;
    if (option_value("indirect", 1) != 0) features |= kIndirect;
    if (option_value("event_idx", 1) != 0) features |= kEventIdx;
    return features;
}

Interrupt interrupt_option() {
    if (option_is("irq", "msix") || option_is("irq", "1")) return Interrupt::Msix;
    if (option_is("irq", "intx")) return Interrupt::Intx;
    return option_is("irq", "edge") ? Interrupt::Edge : Interrupt::None;
}

void prepare_interrupts(Interrupt kind) {
    if (kind == Interrupt::None) return;
    set_gate(kMsiVector, apic::count_interrupt<interrupts_seen>);
    set_gate(kPinVector, apic::count_interrupt<config_interrupts_seen>);
    set_gate(kSecondPinVector, on_pin);
    apic::enable();
}

bool connect_interrupts(const Transport& transport, Interrupt kind, u16& first_vector) {
    first_vector = kNoVector;
    interrupts_seen = 0;
    config_interrupts_seen = 0;
    if (transport.kind() != Kind::Mmio) {
        const u16 command = pci::read16(transport.function(), pci::kCommand);
        const u16 wanted =
            static_cast<u16>(kind == Interrupt::Intx ? command & ~pci::kNoIntx : command | pci::kNoIntx);
        if (wanted != command) pci::write16(transport.function(), pci::kCommand, wanted);
    }
    switch (kind) {
        case Interrupt::None: return true;
        case Interrupt::Msix: return connect_msix(transport, first_vector);
        case Interrupt::Intx: return connect_pin(transport, true);
        case Interrupt::Edge: return connect_pin(transport, false);
    }
    return false;
}

}  // namespace guest::virtio
