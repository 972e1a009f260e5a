// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/boot_tables.h"

#include <catch2/catch.hpp>

#include "tests/support/test_ram.h"

using namespace mayfly;

namespace {

MachinePlan plan_of(Profile profile, Irqchip irqchip, bool is_linux, bool has_disk) {
    BootConfig config;
    if (has_disk) config.disks.resize(1);
    MachinePlan plan;
    plan.cpus = 3;
    plan.kernel.is_linux = is_linux;
    plan.shape.profile = profile;
    plan.shape.irqchip = irqchip;
    plan.devices = plan_devices(config, plan.shape, ConsoleDevice::Serial).value();
    return plan;
}

}  // namespace

TEST_CASE("the modern machine is hardware-reduced, with an IOAPIC for its serial port alone",
          "[boot_tables]") {
    const MachinePlan plan = plan_of(Profile::Modern, Irqchip::Split, true, false);
    const AcpiOptions acpi = acpi_options(plan, {});
    CHECK(acpi.cpu_count == 3);
    CHECK(acpi.hardware_reduced);
    CHECK(acpi.has_serial_ioapic);
    CHECK_FALSE(acpi.has_ioapic_and_pic);
    REQUIRE(acpi.pci);
    CHECK_FALSE(acpi.pci->has_config_ports);
    CHECK_FALSE(acpi.pci->intx);
    REQUIRE(acpi.serial);
    CHECK(acpi.serial->port == 0x3f8);
    CHECK(acpi.serial->irq == 4);
    CHECK_FALSE(mptable_options(plan));
}

TEST_CASE("the legacy machine has a PC's controllers, an MP table and PCI's pins", "[boot_tables]") {
    const MachinePlan bare = plan_of(Profile::Legacy, Irqchip::Full, false, false);
    CHECK_FALSE(acpi_options(bare, {}).hardware_reduced);
    CHECK(acpi_options(bare, {}).has_ioapic_and_pic);
    CHECK(acpi_options(bare, {}).pci->has_config_ports);
    CHECK_FALSE(acpi_options(bare, {}).pci->intx);
    REQUIRE(mptable_options(bare));
    CHECK_FALSE(mptable_options(bare)->pci_intx);

    const MachinePlan plan = plan_of(Profile::Legacy, Irqchip::Full, false, true);
    const AcpiOptions acpi = acpi_options(plan, {});
    REQUIRE(acpi.pci->intx);
    const std::optional<MpTableOptions> mptable = mptable_options(plan);
    REQUIRE(mptable);
    CHECK(mptable->cpu_count == 3);
    CHECK(mptable->pci_intx == acpi.pci->intx);
}

TEST_CASE("the window for configuration pages exists only with PCI functions", "[boot_tables]") {
    CHECK_FALSE(acpi_options(plan_of(Profile::Modern, Irqchip::Split, true, false), {}).pci->config_pages);
    CHECK(acpi_options(plan_of(Profile::Modern, Irqchip::Split, true, true), {}).pci->config_pages);
}

TEST_CASE("only the modern machine hides its clock chip, and only from Linux", "[boot_tables]") {
    CHECK_FALSE(acpi_options(plan_of(Profile::Modern, Irqchip::Split, true, false), {}).has_rtc);
    CHECK(acpi_options(plan_of(Profile::Modern, Irqchip::Split, false, false), {}).has_rtc);
    CHECK(acpi_options(plan_of(Profile::Legacy, Irqchip::Full, true, false), {}).has_rtc);
}

TEST_CASE("tables are written, and the RSDP is at the returned address", "[boot_tables]") {
    TestRam ram(MiB(2));
    const Result<Gpa> rsdp =
        write_boot_tables(plan_of(Profile::Legacy, Irqchip::Full, false, true), ram.memory());
    REQUIRE(rsdp);
    std::array<char, 8> signature{};
    REQUIRE(ram.memory().read(*rsdp, std::as_writable_bytes(std::span(signature))) == MemStatus::Ok);
    CHECK(std::string_view(signature.data(), signature.size()) == "RSD PTR ");
}

TEST_CASE("a machine without LAPICs has no tables", "[boot_tables]") {
    TestRam ram(MiB(2));
    const Result<Gpa> rsdp =
        write_boot_tables(plan_of(Profile::Legacy, Irqchip::None, false, false), ram.memory());
    REQUIRE(rsdp);
    CHECK(rsdp->value == 0);
    for (u64 at = 0xe'0000; at < 0x10'0000; at += 16) {
        std::array<char, 4> start{};
        REQUIRE(ram.memory().read(Gpa{at}, std::as_writable_bytes(std::span(start))) == MemStatus::Ok);
        CHECK(std::string_view(start.data(), 4) != "RSD ");
        CHECK(std::string_view(start.data(), 4) != "_MP_");
    }
}
