// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/mptable.h"

#include <array>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "firmware/tables/byte_writer.h"
#include "firmware/tables/mptable_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr std::string_view kOemId = "MAYFLY  ";
constexpr std::string_view kProductId = "MICROVM     ";
static_assert(kOemId.size() == 8 && kProductId.size() == 12);

constexpr u8 kPciBus = 0;  ///< kernels use it as the PCI bus number
constexpr u8 kPciDevices = 32;
constexpr u8 kIoApicId = 0;  ///< the id of KVM's IOAPIC after reset
constexpr u8 kIoApicVersion = 0x11;
constexpr u8 kLocalApicVersion = 0x14;
constexpr u8 kIsaIrqs = 16;
constexpr u8 kCascadeIrq = 2;

constexpr u32 kProcessorsMax = 255;  ///< ids 0-254; 255 is broadcast
/// Header, processors, two buses, IOAPIC, 15 interrupts, a wire for each PCI device, two local interrupts.
constexpr u64 kTableBytesMax = 44 + kProcessorsMax * 20 + 2 * 8 + 8 + 15 * 8 + kPciDevices * 8 + 2 * 8;
static_assert(mp::FLOATING_POINTER_BYTES + kTableBytesMax <= layout::kMpTableBytes);

/// Spec: MultiProcessor Specification 1.4 §4.1 "MP Floating Pointer Structure".
void write_floating_pointer(ByteWriter& out) {
    out.text("_MP_");
    out.put32(static_cast<u32>((layout::kMpTable + mp::FLOATING_POINTER_BYTES).value));
    out.put8(1);  // length in 16-byte units
    out.put8(mp::SPEC_REV);
    out.put8(0);   // checksum, below
    out.zeros(5);  // features: a table is present, and virtual wire mode without IMCR
    out.patch8(mp::FLOATING_CHECKSUM, out.checksum_from(0));
}

/// Spec: MultiProcessor Specification 1.4 §4.2 "MP Configuration Table Header".
void write_header(ByteWriter& out) {
    out.text("PCMP");
    out.put16(0);  // base table length, below
    out.put8(mp::SPEC_REV);
    out.put8(0);  // checksum, below
    out.text(kOemId);
    out.text(kProductId);
    out.zeros(6);  // no OEM table
    out.put16(0);  // entry count, below
    out.put32(static_cast<u32>(layout::kLocalApic.value));
    out.zeros(4);  // no extended table
}

/// Spec: MultiProcessor Specification 1.4 §4.3.1 "Processor Entries".
void put_processor(ByteWriter& out, const MpTableOptions& options, u8 id) {
    out.put8(mp::PROCESSOR);
    out.put8(id);
    out.put8(kLocalApicVersion);
    out.put8(id == 0 ? mp::CPU_ENABLED | mp::CPU_BOOTSTRAP : mp::CPU_ENABLED);
    out.put32(options.cpu_signature & 0xfff);
    out.put32(options.cpu_features);
    out.zeros(8);
}

/// One wire from a bus interrupt to an APIC input; both kinds of entry have this form.
struct Wire {
    u8 entry_type;
    u8 interrupt_type;
    u8 bus;
    u8 irq;
    u8 apic_id;
    u8 input;
};

/// Spec: MultiProcessor Specification 1.4 §4.3.4 "I/O Interrupt Assignment Entries", §4.3.5 "Local Interrupt
/// Assignment Entries".
void put_wire(ByteWriter& out, Wire wire) {
    out.put8(wire.entry_type);
    out.put8(wire.interrupt_type);
    out.put16(mp::CONFORMS_TO_BUS);
    out.put8(wire.bus);
    out.put8(wire.irq);
    out.put8(wire.apic_id);
    out.put8(wire.input);
}

/// Spec: MultiProcessor Specification 1.4 §4.3.2 "Bus Entries". \returns their number: one.
u32 put_bus(ByteWriter& out, u8 id, std::string_view type) {
    out.put8(mp::BUS);
    out.put8(id);
    out.text(type);
    return 1;
}

/// Entries in ascending order of type, as MultiProcessor Specification 1.4 §4.3 "Base MP Configuration Table
/// Entries" requires. Returns their number.
u16 write_entries(ByteWriter& out, const MpTableOptions& options) {
    u32 count = 0;
    for (u32 id = 0; id < options.cpu_count; ++id, ++count) put_processor(out, options, static_cast<u8>(id));

    const u8 isa_bus = options.pci_intx ? kPciBus + 1 : 0;
    if (options.pci_intx) count += put_bus(out, kPciBus, "PCI   ");
    count += put_bus(out, isa_bus, "ISA   ");

    out.put8(mp::IO_APIC);
    out.put8(kIoApicId);
    out.put8(kIoApicVersion);
    out.put8(mp::IO_APIC_USABLE);
    out.put32(static_cast<u32>(layout::kIoApic.value));
    ++count;

    for (u8 irq = 0; irq < kIsaIrqs; ++irq) {
        if (irq == kCascadeIrq) continue;  // not a wire of its own; its pin is the PIT's
        const u8 pin = irq == 0 ? layout::kPitIoApicPin : irq;
        if (options.pci_intx && (irq == (*options.pci_intx)[0] || irq == (*options.pci_intx)[1])) continue;
        put_wire(out, {mp::IO_INTERRUPT, mp::INT, isa_bus, irq, kIoApicId, pin});
        ++count;
    }
    if (options.pci_intx) {
        // MultiProcessor Specification 1.4 §D.3 "I/O Interrupt Assignment Entries for PCI Devices": the
        // source is device and pin.
        for (u8 device = 1; device < kPciDevices; ++device, ++count)
            put_wire(out, {mp::IO_INTERRUPT, mp::INT, kPciBus, static_cast<u8>(device << 2), kIoApicId,
                           (*options.pci_intx)[device % 2]});
    }
    put_wire(out, {mp::LOCAL_INTERRUPT, mp::EXT_INT, isa_bus, 0, 0, 0});
    put_wire(out, {mp::LOCAL_INTERRUPT, mp::NMI, isa_bus, 0, mp::ALL_LOCAL_APICS, 1});
    return static_cast<u16>(count + 2);
}

}  // namespace

Result<void> write_mptable(const GuestMemory& memory, const MpTableOptions& options) {
    VERIFY(options.cpu_count >= 1);
    if (options.cpu_count > kProcessorsMax)
        return fail(Error::invalid(fmt::format("{} processors are more than the {} that an MP table holds",
                                               options.cpu_count, kProcessorsMax)));
    // Not initialised: the writer stores every byte that is copied below.
    std::array<u8, mp::FLOATING_POINTER_BYTES + kTableBytesMax> image;
    ByteWriter out(image);
    write_floating_pointer(out);
    const std::size_t table = out.size();
    write_header(out);
    const u16 entry_count = write_entries(out, options);
    out.patch16(table + mp::HEADER_BASE_TABLE_LENGTH, static_cast<u16>(out.size() - table));
    out.patch16(table + mp::HEADER_ENTRY_COUNT, entry_count);
    out.patch8(table + mp::HEADER_CHECKSUM, out.checksum_from(table));
    VERIFY(out.fits());
    // RAM covers the area: no guest is smaller than layout::kMemoryMin.
    VERIFY(memory.write(layout::kMpTable, std::as_bytes(out.written())) == MemStatus::Ok);
    return {};
}

}  // namespace mayfly
