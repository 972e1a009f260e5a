// SPDX-License-Identifier: Apache-2.0
// Interrupts of a virtio device on PCI: MSI-X, the ISR and the pin.
#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/pci_rig.h"

using namespace mayfly;

namespace {

constexpr u16 kNoVector = 0xffff;

}  // namespace

TEST_CASE("without MSI-X an interrupt is a bit and the pin until the ISR is read", "[pci_transport]") {
    PciRig rig(true);
    rig.start();
    CHECK(rig.isr() == 0);
    CHECK(rig.round_trip());
    CHECK(rig.pin.level);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 8) != 0);
    rig.change_config(0, 1);
    CHECK(rig.isr() == 3);
    CHECK_FALSE(rig.pin.level);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 8) == 0);
    CHECK(rig.isr() == 0);
    CHECK(rig.core.queue(0).counts.interrupts_line == 1);
    CHECK(rig.msi.sent.empty());
    rig.round_trip();
    CHECK(rig.pin.level);
    rig.set_status(0);
    CHECK_FALSE(rig.pin.level);
    CHECK(rig.isr() == 0);
}

TEST_CASE("with MSI-X a queue's interrupt is its vector's message", "[pci_transport]") {
    PciRig rig(true);
    rig.set_msix(true);
    rig.set_entry(2, 0xfee0'1000, 0x41, false);
    rig.start();
    rig.set(common::kQueueVector, 2, 2);
    CHECK(rig.get(common::kQueueVector, 2) == 2);
    rig.round_trip();
    CHECK(rig.msi.sent == std::vector<u16>{2});
    CHECK(rig.msi.set.back() == FakeMsiPort::Message{2, 0xfee0'1000, 0x41});
    CHECK_FALSE(rig.pin.level);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 8) == 0);
    CHECK(rig.core.queue(0).counts.interrupts_irqfd == 1);
}

TEST_CASE("an event that is mapped to no vector sends nothing", "[pci_transport]") {
    PciRig rig;
    rig.set_msix(true);
    for (const u16 vector : {u16{0}, u16{1}, u16{2}}) rig.set_entry(vector, 0xfee0'0000, vector, false);
    rig.start();
    rig.round_trip();
    rig.change_config(0, 1);
    CHECK(rig.msi.sent.empty());
    rig.set(common::kConfigVector, 2, 1);
    rig.change_config(0, 2);
    CHECK(rig.msi.sent == std::vector<u16>{1});
    rig.set(common::kConfigVector, 2, kNoVector);
    rig.change_config(0, 3);
    CHECK(rig.msi.sent.size() == 1);
}

TEST_CASE("any event maps to any vector, and to none outside the table", "[pci_transport]") {
    PciRig rig;
    const u32 field = GENERATE(common::kConfigVector, common::kQueueVector);
    for (const u16 vector : {u16{0}, u16{1}, u16{2}}) {
        rig.set(field, 2, vector);
        CHECK(rig.get(field, 2) == vector);
    }
    for (const u16 vector : {u16{3}, u16{128}, u16{0x7ff}, u16{0x8000}, u16{0xfffe}, u16{0xffff}}) {
        rig.set(field, 2, 1);
        rig.set(field, 2, vector);
        CHECK(rig.get(field, 2) == kNoVector);
    }
}

TEST_CASE("a masked vector's interrupt is pending and comes when it is unmasked", "[pci_transport]") {
    PciRig rig;
    rig.set_msix(true);
    rig.set_entry(1, 0xfee0'0000, 7, true);
    rig.start();
    rig.set(common::kQueueVector, 2, 1);
    rig.round_trip();
    CHECK(rig.msi.sent.empty());
    CHECK(rig.mmio_read(PciRig::kTrapAddress + 0x100, 8) == 2);
    CHECK(rig.core.queue(0).counts.interrupts_pending == 1);
    rig.set_entry(1, 0xfee0'0000, 7, false);
    CHECK(rig.msi.sent == std::vector<u16>{1});
    CHECK(rig.mmio_read(PciRig::kTrapAddress + 0x100, 8) == 0);
    // A reset takes back what is pending.
    rig.set_entry(1, 0xfee0'0000, 7, true);
    rig.round_trip();
    rig.set_status(0);
    rig.set_entry(1, 0xfee0'0000, 7, false);
    CHECK(rig.msi.sent.size() == 1);
}

TEST_CASE("the configuration's bit is in the ISR with MSI-X too, before the message", "[pci_transport]") {
    // VIRTIO 1.2 §4.1.4.5.1 "Device Requirements: ISR status capability": "MUST set the Device Configuration
    // Interrupt bit in ISR status before sending a device configuration change notification".
    PciRig rig(true);
    rig.set_msix(true);
    rig.set_entry(0, 0xfee0'0000, 7, false);
    rig.start();
    rig.set(common::kConfigVector, 2, 0);
    rig.set(common::kQueueVector, 2, 0);
    rig.round_trip();
    rig.change_config(0, 1);
    CHECK(rig.msi.sent.size() == 2);
    CHECK_FALSE(rig.pin.level);
    CHECK(rig.isr() == 2);
    CHECK(rig.isr() == 0);
}

TEST_CASE("the pin falls when MSI-X takes over, and rises with unread events when it is switched off",
          "[pci_transport]") {
    // PCI Local Bus Specification 3.0 §6.8.3.3 "Enabling": no INTx# while MSI-X is enabled. VIRTIO 1.2
    // §4.1.4.5.1: without MSI-X the Interrupt Status bit is the OR of the ISR's bits.
    PciRig rig(true);
    rig.start();
    rig.round_trip();
    REQUIRE(rig.pin.level);
    rig.set_msix(true);
    CHECK_FALSE(rig.pin.level);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 8) == 0);
    rig.set_msix(false);
    CHECK(rig.pin.level);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 8) != 0);
    CHECK(rig.isr() == 1);
    CHECK_FALSE(rig.pin.level);
}

TEST_CASE("a device that needs a reset tells by a configuration interrupt", "[pci_transport]") {
    PciRig rig;
    rig.start();
    *rig.ram.at<u16>(rig.driver.avail_idx_at()) = 100;
    rig.notify(0);
    CHECK(rig.status() == (15 | 64));
    CHECK((rig.isr() & 2) != 0);
}
