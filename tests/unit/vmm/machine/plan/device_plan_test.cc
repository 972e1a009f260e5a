// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/plan/device_plan.h"

#include <set>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

BootConfig with(std::size_t disks, std::size_t nets = 0, bool has_console = false, bool has_rng = false) {
    BootConfig config;
    config.disks.resize(disks);
    config.nets.resize(nets);
    if (has_console) config.console_device = ConsoleDevice::Virtio;
    config.has_rng = has_rng;
    return config;
}

MachineShape shape_of(Profile profile, Irqchip irqchip) {
    MachineShape shape;
    shape.profile = profile;
    shape.irqchip = irqchip;
    return shape;
}
const MachineShape kModern = shape_of(Profile::Modern, Irqchip::Split);
const MachineShape kLegacy = shape_of(Profile::Legacy, Irqchip::Full);

/// With the console that the configuration names.
Result<DevicePlan> plan_of(const BootConfig& config, const MachineShape& shape) {
    return plan_devices(config, shape, config.console_device);
}

}  // namespace

TEST_CASE("each network has its configured MAC address, or a random local one", "[device_plan]") {
    BootConfig config = with(1, 3);
    config.nets[1].mac = MacAddress{0x52, 0x54, 0, 0x12, 0x34, 0x56};
    DevicePlan plan = plan_of(config, kModern).value();
    REQUIRE(choose_macs(config, plan));
    std::set<MacAddress> macs;
    for (const PlannedDevice& device : plan.devices) {
        if (device.kind != DeviceKind::Net) continue;
        CHECK((device.mac[0] & 3) == 2);
        macs.insert(device.mac);
    }
    CHECK(macs.size() == 3);
    CHECK(macs.contains(*config.nets[1].mac));
}

TEST_CASE("no devices make an empty plan on every transport", "[device_plan]") {
    for (const TransportChoice transport : {TransportChoice::Pci, TransportChoice::Mmio}) {
        for (const MachineShape& shape : {kModern, kLegacy}) {
            BootConfig config;
            config.transport = transport;
            const Result<DevicePlan> plan = plan_of(config, shape);
            REQUIRE(plan);
            CHECK(plan->devices.empty());
            CHECK_FALSE(plan->has_pci());
            CHECK(plan->mmio_slots().empty());
            CHECK(plan->mmio_words().empty());
        }
    }
}

TEST_CASE("devices come in the order of their kinds, and are named by their kinds", "[device_plan]") {
    const Result<DevicePlan> plan = plan_of(with(2, 2, true, true), kModern);
    REQUIRE(plan);
    std::vector<std::string> names;
    for (const PlannedDevice& device : plan->devices) names.push_back(device.name);
    CHECK(names == std::vector<std::string>{"disk0", "disk1", "net0", "net1", "console0", "rng0"});
    CHECK(plan->devices[3].kind == DeviceKind::Net);
    CHECK(plan->devices[3].index == 1);
    CHECK(plan->has_pci());
}

TEST_CASE("shares come last, and move nothing", "[device_plan]") {
    BootConfig config = with(1, 1, true, true);
    config.shares.resize(2);
    const Result<DevicePlan> plan = plan_of(config, kModern);
    REQUIRE(plan);
    REQUIRE(plan->devices.size() == 6);
    CHECK(plan->devices[3].name == "rng0");
    CHECK(plan->devices[4].name == "share0");
    CHECK(plan->devices[5].name == "share1");
    CHECK(plan->devices[5].kind == DeviceKind::Share);
    CHECK(plan->devices[5].index == 1);
    CHECK(plan->linux_modules().back() == "virtiofs");
}

TEST_CASE("a share has no legacy interface, where others have one", "[device_plan]") {
    BootConfig config = with(1);
    config.shares.resize(1);
    const Result<DevicePlan> plan = plan_of(config, kLegacy);
    REQUIRE(plan);
    CHECK(plan->devices[0].pci.legacy_port == 0xc000);
    CHECK(plan->devices[1].pci.legacy_port == 0);
    CHECK(plan->devices[1].pci.interrupt_line != 0);
}

TEST_CASE("a few devices have a PCI slot each, behind the bridge", "[device_plan]") {
    const Result<DevicePlan> plan = plan_of(with(31), kModern);
    REQUIRE(plan);
    for (u32 i = 0; i < 31; ++i) {
        const PciPlace& place = plan->devices[i].pci;
        CHECK(place.devfn == (i + 1) << 3);
        CHECK(place.legacy_port == 0);
        CHECK(place.interrupt_line == 0);
    }
}

TEST_CASE("many devices share slots, but no functions", "[device_plan]") {
    const std::size_t nets = GENERATE(0U, 30U, 40U);
    for (const MachineShape& shape : {kModern, kLegacy}) {
        const Result<DevicePlan> plan = plan_of(with(64, nets, true, true), shape);
        REQUIRE(plan);
        std::set<u8> functions;
        std::set<u32> pages;
        std::set<u16> ports;
        unsigned last = 0;
        for (const PlannedDevice& device : plan->devices) {
            const PciPlace& place = device.pci;
            CHECK(place.devfn > last);
            last = place.devfn;
            functions.insert(place.devfn);
            pages.insert({place.config_address, place.trap_address});
            CHECK(place.config_address % 0x1000 == 0);
            CHECK(place.trap_address % 0x1000 == 0);
            // A slot without function 0 is not found.
            CHECK(functions.count(place.devfn & 0xf8) == 1);
            if (shape.profile == Profile::Modern) continue;
            ports.insert(place.legacy_port);
            CHECK(place.legacy_port >= 0xc000);
            CHECK(place.legacy_port % 0x80 == 0);
            CHECK((place.interrupt_line == 10 || place.interrupt_line == 11));
        }
        CHECK(functions.size() == plan->devices.size());
        CHECK(pages.size() == 2 * plan->devices.size());
        CHECK(ports.size() == (shape.profile == Profile::Modern ? 0 : plan->devices.size()));
    }
}

TEST_CASE("more devices than PCI carries are refused with both numbers", "[device_plan]") {
    CHECK(plan_of(with(248), kModern));
    CHECK(plan_of(with(128), kLegacy));
    const auto refused = [](std::size_t count, const MachineShape& shape, const char* limit) {
        const Result<DevicePlan> plan = plan_of(with(count), shape);
        REQUIRE_FALSE(plan);
        CHECK(plan.error().kind() == ErrorKind::Invalid);
        CHECK(plan.error().message().find(std::to_string(count)) != std::string::npos);
        CHECK(plan.error().message().find(limit) != std::string::npos);
    };
    refused(249, kModern, "248");
    refused(1000, kModern, "248");
    refused(129, kLegacy, "128");
}

TEST_CASE("devices on mmio have a page and an interrupt each", "[device_plan]") {
    BootConfig config = with(16);
    config.transport = TransportChoice::Mmio;
    const Result<DevicePlan> plan = plan_of(config, kLegacy);
    REQUIRE(plan);
    CHECK_FALSE(plan->has_pci());
    const std::vector<VirtioMmioSlot> slots = plan->mmio_slots();
    REQUIRE(slots.size() == 16);
    std::set<u32> interrupts;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        CHECK(slots[i].base.value == 0xc000'1000 + i * 0x1000);
        interrupts.insert(slots[i].gsi);
    }
    CHECK(interrupts.size() == 16);
    for (const u32 taken : {0U, 1U, 2U, 4U, 8U, 9U, 13U}) CHECK(interrupts.count(taken) == 0);
}

TEST_CASE("mmio devices are words of the kernel's command line", "[device_plan]") {
    BootConfig config = with(1, 1);
    config.transport = TransportChoice::Mmio;
    CHECK(plan_of(config, kLegacy)->mmio_words() ==
          "virtio_mmio.device=4K@0xc0001000:5 virtio_mmio.device=4K@0xc0002000:6");
    CHECK(plan_of(with(1), kLegacy)->mmio_words().empty());
}

TEST_CASE("Linux needs the transport's driver, and each kind's driver once", "[device_plan]") {
    using Names = std::vector<std::string_view>;
    CHECK(plan_of(BootConfig(), kModern)->linux_modules() == Names{});
    CHECK(plan_of(with(3), kModern)->linux_modules() == Names{"virtio_pci", "virtio_blk"});
    CHECK(plan_of(with(0, 2), kLegacy)->linux_modules() == Names{"virtio_pci", "virtio_net"});
    CHECK(plan_of(with(2, 2, true, true), kModern)->linux_modules() ==
          Names{"virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng"});
    BootConfig config = with(1, 0, true);
    config.transport = TransportChoice::Mmio;
    CHECK(plan_of(config, kLegacy)->linux_modules() == Names{"virtio_mmio", "virtio_blk", "virtio_console"});
}

TEST_CASE("mmio is refused where it cannot interrupt", "[device_plan]") {
    const auto refused = [](std::size_t disks, const MachineShape& shape, const char* word) {
        BootConfig config = with(disks);
        config.transport = TransportChoice::Mmio;
        const Result<DevicePlan> plan = plan_of(config, shape);
        REQUIRE_FALSE(plan);
        CHECK(plan.error().kind() == ErrorKind::Invalid);
        CHECK(plan.error().message().find(word) != std::string::npos);
    };
    refused(1, kModern, "legacy");
    refused(17, kLegacy, "17");
    refused(17, kLegacy, "16");
}
