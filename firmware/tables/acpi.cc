// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/acpi.h"

#include <array>
#include <memory>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "firmware/tables/acpi_spec.h"
#include "firmware/tables/byte_writer.h"
#include "firmware/tables/dsdt.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

constexpr std::string_view kOemId = "MAYFLY";
constexpr std::string_view kOemTableId = "MAYFLYVM";
constexpr u32 kOemRevision = 1;
constexpr std::string_view kCreatorId = "MFLY";
constexpr u32 kCreatorRevision = 1;

/// No table needs more than 8-byte alignment, except the FACS.
constexpr u64 kTableAlignment = 8;
constexpr u8 kIoApicId = 0;  ///< the id of KVM's IOAPIC after reset
constexpr u8 kCenturyRegister = 0x32;

/// A processor takes at most 16 bytes of MADT and 28 of DSDT, everything else together less than 4 KiB.
constexpr u32 kProcessorsMax = 1024;
static_assert(u64{kProcessorsMax} * (16 + 28) + KiB(4) <= layout::kAcpiBytes);

Gpa address_of(std::size_t offset) { return layout::kAcpi + offset; }

/// Writes one table around `body`: header first, then length and checksum. Returns the table's address.
/// Spec: ACPI 6.5 §5.2.6 "System Description Table Header".
template <typename Body>
Gpa write_table(ByteWriter& out, std::string_view signature, u8 revision, Body body) {
    out.align(kTableAlignment);
    const std::size_t begin = out.size();
    out.text(signature);
    out.put32(0);  // length, below
    out.put8(revision);
    out.put8(0);  // checksum, below
    out.text(kOemId);
    out.text(kOemTableId);
    out.put32(kOemRevision);
    out.text(kCreatorId);
    out.put32(kCreatorRevision);
    body();
    out.patch32(begin + acpi::HEADER_LENGTH, static_cast<u32>(out.size() - begin));
    out.patch8(begin + acpi::HEADER_CHECKSUM, out.checksum_from(begin));
    return address_of(begin);
}

void reserve_rsdp(ByteWriter& out) {
    out.text("RSD PTR ");
    out.put8(0);  // checksum, below
    out.text(kOemId);
    out.put8(acpi::RSDP_REVISION);
    out.put32(0);  // RSDT, below
    out.put32(acpi::RSDP_BYTES);
    out.put64(0);  // XSDT, below
    out.put8(0);   // extended checksum, below
    out.zeros(3);
    VERIFY(out.size() == acpi::RSDP_BYTES);
}

/// Spec: ACPI 6.5 §5.2.5.3 "Root System Description Pointer (RSDP) Structure".
void complete_rsdp(ByteWriter& out, std::span<const u8> rsdp, Gpa rsdt, Gpa xsdt) {
    out.patch32(acpi::RSDP_RSDT_ADDRESS, static_cast<u32>(rsdt.value));
    out.patch64(acpi::RSDP_XSDT_ADDRESS, xsdt.value);
    const auto checksum = [](std::span<const u8> bytes) {
        unsigned sum = 0;
        for (const u8 byte : bytes) sum += byte;
        return static_cast<u8>(0x100 - (sum & 0xff));
    };
    out.patch8(acpi::RSDP_CHECKSUM, checksum(rsdp.first(acpi::RSDP_V1_BYTES)));
    out.patch8(acpi::RSDP_EXTENDED_CHECKSUM, checksum(rsdp.first(acpi::RSDP_BYTES)));
}

/// Spec: ACPI 6.5 §5.2.10 "Firmware ACPI Control Structure (FACS)". It has no checksum.
Gpa write_facs(ByteWriter& out) {
    out.align(acpi::FACS_ALIGNMENT);
    const std::size_t begin = out.size();
    out.text("FACS");
    out.put32(acpi::FACS_BYTES);
    out.zeros(24);  // hardware signature, waking vectors, global lock, flags
    out.put8(acpi::FACS_VERSION);
    out.zeros(31);
    VERIFY(out.size() - begin == acpi::FACS_BYTES);
    return address_of(begin);
}

/// Spec: ACPI 6.5 §5.2.3.2 "Generic Address Structure". Port 0 stands for "absent", all zero.
void put_io_register(ByteWriter& out, u16 port, u8 width_bits, u8 access) {
    out.put8(port == 0 ? 0 : acpi::GAS_SYSTEM_IO);
    out.put8(port == 0 ? 0 : width_bits);
    out.put8(0);  // bit offset
    out.put8(port == 0 ? 0 : access);
    out.put64(port);
}

u16 boot_architecture(const AcpiOptions& options) {
    // No 8042 flag: the reset line at port 0x64 is not a keyboard controller, and probing for one is slow.
    // MSI stays allowed, because its flag forbids it.
    u16 flags = acpi::VGA_NOT_PRESENT | acpi::PCIE_ASPM_CONTROLS;
    if (options.has_ioapic_and_pic) flags |= acpi::LEGACY_DEVICES;
    if (!options.has_rtc) flags |= acpi::CMOS_RTC_NOT_PRESENT;
    return flags;
}

/// Spec: ACPI 6.5 §5.2.9 "Fixed ACPI Description Table (FADT)".
void write_fadt_body(ByteWriter& out, const AcpiOptions& options, Gpa facs, Gpa dsdt) {
    const bool reduced = options.hardware_reduced;
    // ACPI 6.5 §4.8.3 "Fixed Hardware Registers" do not exist when hardware-reduced.
    const u16 pm1a_event = reduced ? u16{0} : layout::kPortPm1aEvent;
    const u16 pm1a_control = reduced ? u16{0} : layout::kPortPm1aControl;
    u32 flags = acpi::WBINVD | acpi::PROC_C1 | acpi::PWR_BUTTON | acpi::SLP_BUTTON | acpi::FIX_RTC |
                acpi::RESET_REG_SUP | acpi::HEADLESS;
    if (reduced) flags |= acpi::HW_REDUCED_ACPI;

    out.put32(static_cast<u32>(facs.value));
    out.put32(static_cast<u32>(dsdt.value));
    out.zeros(2);  // reserved; preferred PM profile: unspecified
    out.put16(reduced ? u16{0} : u16{layout::kIrqAcpiSci});
    out.zeros(8);  // no SMI command port: the machine is always in ACPI mode
    out.put32(pm1a_event);
    out.put32(0);  // PM1b event
    out.put32(pm1a_control);
    out.zeros(20);  // PM1b control, PM2 control, PM timer, GPE0, GPE1
    out.put8(reduced ? 0 : 4);
    out.put8(reduced ? 0 : 2);
    out.zeros(6);  // lengths of the absent blocks, GPE1 base, C-state control
    out.put16(acpi::P_LVL2_LAT_NONE);
    out.put16(acpi::P_LVL3_LAT_NONE);
    out.zeros(8);  // flush size and stride (WBINVD works), duty, alarms
    out.put8(options.has_rtc ? kCenturyRegister : 0);
    out.put16(boot_architecture(options));
    out.put8(0);
    out.put32(flags);
    put_io_register(out, layout::kPortReset, 8, acpi::GAS_BYTE_ACCESS);
    out.put8(acpi::RESET_VALUE);
    out.put16(0);  // ARM boot architecture
    out.put8(acpi::FADT_MINOR_REVISION);
    out.put64(0);  // X_FIRMWARE_CTRL must be 0 where the 32-bit field is used
    out.put64(dsdt.value);
    put_io_register(out, pm1a_event, 32, acpi::GAS_WORD_ACCESS);
    out.zeros(12);  // PM1b event
    put_io_register(out, pm1a_control, 16, acpi::GAS_WORD_ACCESS);
    out.zeros(60);  // PM1b control, PM2 control, PM timer, GPE0, GPE1
    // ACPI 6.5 §4.8.3.7 "Sleep Control and Status Registers"
    put_io_register(out, reduced ? layout::kPortSleepControl : u16{0}, 8, acpi::GAS_BYTE_ACCESS);
    put_io_register(out, reduced ? layout::kPortSleepStatus : u16{0}, 8, acpi::GAS_BYTE_ACCESS);
    out.text(kOemId);  // hypervisor vendor identity
    out.zeros(8 - kOemId.size());
}

void put_source_override(ByteWriter& out, u8 irq, u32 gsi, u16 flags) {
    out.put8(acpi::INTERRUPT_SOURCE_OVERRIDE);
    out.put8(10);
    out.put8(0);  // bus: ISA
    out.put8(irq);
    out.put32(gsi);
    out.put16(flags);
}

/// Spec: ACPI 6.5 §5.2.12.2 "Processor Local APIC Structure", §5.2.12.12 "Processor Local x2APIC Structure".
void put_processor(ByteWriter& out, u32 id) {
    if (id <= acpi::LOCAL_APIC_ID_MAX) {
        out.put8(acpi::LOCAL_APIC);
        out.put8(8);
        out.put8(static_cast<u8>(id));  // processor _UID
        out.put8(static_cast<u8>(id));
        out.put32(acpi::APIC_ENABLED);
        return;
    }
    out.put8(acpi::LOCAL_X2APIC);
    out.put8(16);
    out.put16(0);
    out.put32(id);
    out.put32(acpi::APIC_ENABLED);
    out.put32(id);  // processor _UID
}

void put_ioapic(ByteWriter& out, u32 first_gsi) {
    out.put8(acpi::IO_APIC);
    out.put8(12);
    out.put8(kIoApicId);
    out.put8(0);
    out.put32(static_cast<u32>(layout::kIoApic.value));
    out.put32(first_gsi);
}

/// Spec: ACPI 6.5 §5.2.12 "Multiple APIC Description Table (MADT)".
void write_madt_body(ByteWriter& out, const AcpiOptions& options) {
    out.put32(static_cast<u32>(layout::kLocalApic.value));
    // PCAT_COMPAT without 8259s would make Linux program them all the same.
    out.put32(options.has_ioapic_and_pic ? acpi::PCAT_COMPAT : 0);
    for (u32 id = 0; id < options.cpu_count; ++id) put_processor(out, id);
    if (options.has_ioapic_and_pic) {
        put_ioapic(out, 0);
        put_source_override(out, 0, layout::kPitIoApicPin, acpi::INTI_CONFORMS);
        put_source_override(out, layout::kIrqAcpiSci, layout::kIrqAcpiSci, acpi::INTI_ACTIVE_HIGH_LEVEL);
    }
    if (options.has_serial_ioapic) put_ioapic(out, layout::kIrqSerial);
    // ACPI 6.5 §5.2.12.7 "Local APIC NMI Structure": LINT1 of every processor.
    out.put8(acpi::LOCAL_APIC_NMI);
    out.put8(6);
    out.put8(acpi::ALL_PROCESSORS);
    out.put16(acpi::INTI_CONFORMS);
    out.put8(1);
    if (options.cpu_count <= acpi::LOCAL_APIC_ID_MAX + 1) return;
    // ACPI 6.5 §5.2.12.13 "Local x2APIC NMI Structure"
    out.put8(acpi::LOCAL_X2APIC_NMI);
    out.put8(12);
    out.put16(acpi::INTI_CONFORMS);
    out.put32(acpi::ALL_PROCESSORS_X2APIC);
    out.put8(1);
    out.zeros(3);
}

/// Spec: PCI Firmware Specification 3.3 §4.1.2 "MCFG Table Description".
void write_mcfg_body(ByteWriter& out, const EcamRange& ecam) {
    out.zeros(8);
    out.put64(ecam.base.value);
    out.put16(0);  // segment
    out.put8(0);   // first bus
    out.put8(ecam.end_bus);
    out.zeros(4);
}

/// All tables, in an order in which each refers only to earlier ones.
void write_all(ByteWriter& out, std::span<const u8> image, const AcpiOptions& options) {
    reserve_rsdp(out);
    // ACPI 6.5 §5.2.10 "Firmware ACPI Control Structure (FACS)": optional when hardware-reduced.
    const Gpa facs = options.hardware_reduced ? Gpa{0} : write_facs(out);
    const Gpa dsdt = write_table(out, "DSDT", acpi::DSDT_REVISION, [&] { write_dsdt_body(out, options); });

    std::array<Gpa, 3> listed{};
    std::size_t listed_count = 0;
    listed[listed_count++] = write_table(out, "FACP", acpi::FADT_MAJOR_REVISION,
                                         [&] { write_fadt_body(out, options, facs, dsdt); });
    listed[listed_count++] =
        write_table(out, "APIC", acpi::MADT_REVISION, [&] { write_madt_body(out, options); });
    if (options.pci && options.pci->ecam)
        listed[listed_count++] =
            write_table(out, "MCFG", acpi::MCFG_REVISION, [&] { write_mcfg_body(out, *options.pci->ecam); });

    const std::span<const Gpa> tables = std::span(listed).first(listed_count);
    // Kernels for the PC shape may be older than ACPI 2.0 and know only the RSDT.
    Gpa rsdt;
    if (!options.hardware_reduced)
        rsdt = write_table(out, "RSDT", acpi::RSDT_REVISION, [&] {
            for (const Gpa table : tables) out.put32(static_cast<u32>(table.value));
        });
    const Gpa xsdt = write_table(out, "XSDT", acpi::XSDT_REVISION, [&] {
        for (const Gpa table : tables) out.put64(table.value);
    });
    complete_rsdp(out, image, rsdt, xsdt);
}

}  // namespace

Result<Gpa> write_acpi(const GuestMemory& memory, const AcpiOptions& options) {
    VERIFY(options.cpu_count >= 1 && !(options.has_ioapic_and_pic && options.has_serial_ioapic));
    if (options.cpu_count > kProcessorsMax)
        return fail(Error::invalid(fmt::format("{} processors are more than the {} that the ACPI tables hold",
                                               options.cpu_count, kProcessorsMax)));
    // Not initialised: the writer stores every byte that is copied, and clearing 64 KiB costs microseconds.
    // Not on the stack, which a user's limit may keep small.
    const auto image = std::make_unique_for_overwrite<std::array<u8, layout::kAcpiBytes>>();
    ByteWriter out(*image);
    write_all(out, *image, options);
    VERIFY(out.fits());
    // RAM covers the area: no guest is smaller than layout::kMemoryMin.
    VERIFY(memory.write(layout::kAcpi, std::as_bytes(out.written())) == MemStatus::Ok);
    return layout::kAcpi;
}

}  // namespace mayfly
