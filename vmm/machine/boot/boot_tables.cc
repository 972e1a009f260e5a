// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/boot_tables.h"

#include "firmware/layout.h"

namespace mayfly {

namespace {

bool is_legacy(const MachinePlan& plan) { return plan.shape.profile == Profile::Legacy; }

PciHost pci_host(const MachinePlan& plan) {
    PciHost host{.ecam = EcamRange{.base = layout::kEcam, .end_bus = 0},
                 .has_config_ports = plan.has_config_ports || is_legacy(plan),
                 .memory32 = {.base = layout::kPciMemory, .size_bytes = layout::kPciMemoryBytes},
                 .config_pages = std::nullopt,
                 .memory64 = std::nullopt,
                 .intx = std::nullopt};
    if (!plan.devices.has_pci()) return host;
    host.config_pages =
        PciWindow{.base = layout::kPciConfigPages, .size_bytes = layout::kPciConfigPagesBytes};
    if (is_legacy(plan)) host.intx = layout::kIrqPci;
    return host;
}

}  // namespace

AcpiOptions acpi_options(const MachinePlan& plan, std::span<const VirtioMmioSlot> slots) {
    AcpiOptions acpi;
    acpi.cpu_count = plan.cpus;
    acpi.hardware_reduced = !is_legacy(plan);
    acpi.has_ioapic_and_pic = is_legacy(plan);
    acpi.has_serial_ioapic = !is_legacy(plan);
    acpi.pci = pci_host(plan);
    acpi.virtio_mmio = slots;
    acpi.serial = SerialPort{.port = layout::kPortSerial, .irq = layout::kIrqSerial};
    acpi.pvpanic_port = layout::kPortPvpanic;
    // Linux has kvmclock, and would read an announced chip for a third of a millisecond.
    acpi.has_rtc = is_legacy(plan) || !plan.kernel.is_linux;
    return acpi;
}

std::optional<MpTableOptions> mptable_options(const MachinePlan& plan) {
    if (!is_legacy(plan)) return std::nullopt;
    MpTableOptions mptable;
    mptable.cpu_count = plan.cpus;
    mptable.pci_intx = pci_host(plan).intx;
    return mptable;
}

Result<Gpa> write_boot_tables(const MachinePlan& plan, const GuestMemory& memory) {
    // Without LAPICs a MADT or MP table would be empty.
    if (plan.shape.irqchip == Irqchip::None) return Gpa{};
    const std::vector<VirtioMmioSlot> slots = plan.devices.mmio_slots();
    const Gpa rsdp = TRY(write_acpi(memory, acpi_options(plan, slots)));
    if (const std::optional<MpTableOptions> mptable = mptable_options(plan))
        TRY_VOID(write_mptable(memory, *mptable));
    return rsdp;
}

}  // namespace mayfly
