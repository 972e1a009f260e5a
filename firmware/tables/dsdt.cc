// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/dsdt.h"

#include <array>

#include "firmware/layout.h"
#include "firmware/tables/aml.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr u32 kProcessorsMax = 0x1000;  ///< names are C000-CFFF

void write_processor(Aml& aml, u32 index) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    const std::array<char, 4> name{'C', kDigits[index >> 8 & 0xf], kDigits[index >> 4 & 0xf],
                                   kDigits[index & 0xf]};
    // ACPI 6.5 §8.4 "Declaring Processors": the id ACPI0007, and the _UID that the MADT uses.
    aml.device({name.data(), name.size()}, [&] {
        aml.name("_HID").string("ACPI0007");
        aml.name("_UID").integer(index);
    });
}

/// Reserves configuration space, so that no guest places a device over it; Linux trusts the MCFG only then.
/// Spec: PCI Firmware Specification 3.3 §4.1.2 "MCFG Table Description".
void write_motherboard(Aml& aml, const EcamRange& ecam) {
    const u64 ecam_bytes = MiB(1) * (ecam.end_bus + u64{1});
    VERIFY(ecam.base.value + ecam_bytes <= GiB(4));
    aml.device("MBRD", [&] {
        aml.name("_HID").eisa("PNP0C02");
        aml.name("_CRS").resource_template([&](AmlResources& resources) {
            resources.memory32_fixed(static_cast<u32>(ecam.base.value), static_cast<u32>(ecam_bytes));
        });
    });
}

/// Wires without link devices: ACPI 6.5 §6.2.13 "_PRT (PCI Routing Table)".
void write_intx_routes(Aml& aml, std::array<u8, 2> pins) {
    constexpr u8 kDevices = 32;
    constexpr u64 kAnyFunction = 0xffff;
    constexpr u64 kPinA = 0;
    aml.name("_PRT").package(kDevices - 1, [&] {
        for (u64 device = 1; device < kDevices; ++device) {
            aml.package(4, [&] {
                aml.integer(device << 16 | kAnyFunction);
                aml.integer(kPinA);
                aml.integer(0);  // no link device: what follows is the pin itself
                aml.integer(pins[device % 2]);
            });
        }
    });
}

void write_pci_host(Aml& aml, const PciHost& pci) {
    aml.device("PCI0", [&] {
        const bool is_express = pci.ecam.has_value();
        aml.name("_HID").eisa(is_express ? "PNP0A08" : "PNP0A03");
        if (is_express) aml.name("_CID").eisa("PNP0A03");
        aml.name("_UID").integer(0);
        aml.name("_SEG").integer(0);
        aml.name("_BBN").integer(0);
        aml.name("_CRS").resource_template([&](AmlResources& resources) {
            // One bus: a guest that believes this scans 32 slots instead of 8192.
            resources.word_bus_number(0, is_express ? pci.ecam->end_bus : 0);
            if (pci.has_config_ports) resources.io(0xcf8, 8);
            resources.word_io(0x0000, 0x0cf7);
            resources.word_io(0x0d00, 0xffff);
            const PciWindow& low = pci.memory32;
            VERIFY(low.size_bytes != 0 && low.base.value + low.size_bytes <= GiB(4));
            resources.dword_memory(static_cast<u32>(low.base.value),
                                   static_cast<u32>(low.base.value + low.size_bytes - 1));
            if (pci.config_pages) {
                const PciWindow& pages = *pci.config_pages;
                resources.dword_memory(static_cast<u32>(pages.base.value),
                                       static_cast<u32>(pages.base.value + pages.size_bytes - 1));
            }
            if (pci.memory64) {
                const PciWindow& high = *pci.memory64;
                VERIFY(high.size_bytes != 0);
                resources.qword_memory(high.base.value, high.base.value + (high.size_bytes - 1));
            }
        });
        if (pci.intx) write_intx_routes(aml, *pci.intx);
    });
}

/// The id by which guests' virtio-mmio drivers find them.
void write_virtio_mmio(Aml& aml, u32 index, const VirtioMmioSlot& slot) {
    constexpr u32 kSlotBytes = 0x1000;
    const std::array<char, 4> name{'V', 'I', static_cast<char>('0' + index / 10),
                                   static_cast<char>('0' + index % 10)};
    aml.device({name.data(), name.size()}, [&] {
        aml.name("_HID").string("LNRO0005");
        aml.name("_UID").integer(index);
        aml.name("_CRS").resource_template([&](AmlResources& resources) {
            resources.memory32_fixed(static_cast<u32>(slot.base.value), kSlotBytes);
            resources.interrupt(slot.gsi);
        });
    });
}

void write_serial(Aml& aml, const SerialPort& serial, bool is_reduced) {
    aml.device("COM1", [&] {
        aml.name("_HID").eisa("PNP0501");
        aml.name("_UID").integer(1);
        aml.name("_CRS").resource_template([&](AmlResources& resources) {
            resources.io(serial.port, 8);
            // The short descriptor names a line of the 8259s; without them a pin is a GSI.
            if (serial.irq && is_reduced) resources.interrupt(*serial.irq);
            if (serial.irq && !is_reduced) resources.irq(*serial.irq);
        });
    });
}

void write_rtc(Aml& aml) {
    aml.device("RTC", [&] {
        aml.name("_HID").eisa("PNP0B00");
        aml.name("_CRS").resource_template(
            [](AmlResources& resources) { resources.io(layout::kPortCmos, 2); });
    });
}

/// The id and the resource by which guests' pvpanic drivers find the port.
void write_pvpanic(Aml& aml, u16 port) {
    aml.device("PEVT", [&] {
        aml.name("_HID").string("QEMU0001");
        aml.name("_CRS").resource_template([&](AmlResources& resources) { resources.io(port, 1); });
    });
}

}  // namespace

void write_dsdt_body(ByteWriter& out, const AcpiOptions& options) {
    VERIFY(options.cpu_count <= kProcessorsMax);
    Aml aml(out);
    aml.scope("_SB", [&] {
        for (u32 index = 0; index < options.cpu_count; ++index) write_processor(aml, index);
        if (options.pci) {
            if (options.pci->ecam) write_motherboard(aml, *options.pci->ecam);
            write_pci_host(aml, *options.pci);
        }
        if (options.serial) write_serial(aml, *options.serial, options.hardware_reduced);
        if (options.has_rtc) write_rtc(aml);
        if (options.pvpanic_port) write_pvpanic(aml, *options.pvpanic_port);
        for (u32 index = 0; index < options.virtio_mmio.size(); ++index)
            write_virtio_mmio(aml, index, options.virtio_mmio[index]);
    });
    // ACPI 6.5 §7.4.2 "\_Sx (System States)": the sleep type for either register, then two reserved values.
    aml.name("_S5").package(4, [&] {
        aml.integer(layout::kSleepTypeS5);
        aml.integer(layout::kSleepTypeS5);
        aml.integer(0);
        aml.integer(0);
    });
}

}  // namespace mayfly
