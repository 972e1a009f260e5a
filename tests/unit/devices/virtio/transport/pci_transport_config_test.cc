// SPDX-License-Identifier: Apache-2.0
// The device's configuration, the page that shows it, and accesses through configuration space.
#include <atomic>
#include <random>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/pci_rig.h"

using namespace mayfly;

TEST_CASE("the device's configuration is read at every width and offset", "[pci_transport]") {
    PciRig rig;
    for (u32 at = 0; at < 24; ++at) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}, u8{8}}) {
            u64 expected = 0;
            for (u32 i = 0; i < size; ++i)
                if (at + i < 12) expected |= u64{0xc0 + at + i} << (8 * i);
            CHECK(rig.get(0x100 + at, size) == expected);
        }
    }
}

TEST_CASE("a new configuration has a new generation", "[pci_transport]") {
    PciRig rig;
    u64 generation = rig.get(common::kGeneration, 1);
    CHECK(rig.get(0x100, 1) == 0xc0);
    for (int i = 0; i < 300; ++i) {
        rig.change_config(static_cast<std::size_t>(i % 12), static_cast<u8>(i));
        const u64 next = rig.get(common::kGeneration, 1);
        CHECK(next != generation);
        generation = next;
        CHECK(rig.get(0x100 + static_cast<u32>(i % 12), 1) == static_cast<u8>(i));
    }
    // The driver's own writes as well, and what a reset takes back.
    rig.set(0x100, 4, 0x0102'0304);
    CHECK(rig.get(0x100, 4) == 0x0102'0304);
    CHECK(rig.get(common::kGeneration, 1) != generation);
    generation = rig.get(common::kGeneration, 1);
    rig.set_status(0);
    CHECK(rig.get(common::kGeneration, 1) == generation);
    CHECK(rig.device.config_writes == 1);
}

TEST_CASE("a configuration is shown anew when a reset or a start changes it", "[pci_transport]") {
    PciRig rig;
    rig.device.set_config(3, 0x77);
    rig.set_status(0);
    CHECK(rig.get(0x103, 1) == 0x77);
    rig.device.set_config(3, 0x78);
    rig.start();
    CHECK(rig.get(0x103, 1) == 0x78);
}

TEST_CASE("the configuration page moves with its BAR and keeps its content", "[pci_transport]") {
    PciRig rig;
    rig.set_msix(true);
    rig.set_entry(1, 0xfee0'0000, 0x55, false);
    rig.start();
    rig.set(common::kQueueVector, 2, 1);
    std::vector<u64> before;
    for (u32 at = 0; at < 4096; at += 8) before.push_back(rig.get(at, 8));
    const u32 to = GENERATE(0xd800'0000U, 0xe010'5000U);
    rig.set_config(PciRig::kDevfn, 0x18, 4, to);
    for (u32 at = 0; at < 4096; at += 8) {
        if (at == 16) continue;  // the generation may go on
        CHECK(rig.mmio_read(to + at, 8) == before[at / 8]);
    }
    CHECK(rig.mmio_read(to + common::kStatus, 1) == 15);
    CHECK(rig.mmio_read(PciRig::kConfig, 4) == 0xffff'ffff);
    rig.round_trip();
    CHECK(rig.msi.sent == std::vector<u16>{1});
    rig.mmio_write(to + common::kStatus, 1, 0);
    CHECK(rig.mmio_read(to + common::kStatus, 1) == 0);
}

// --- VIRTIO_PCI_CAP_PCI_CFG ---

namespace {

struct ConfigAccess {
    explicit ConfigAccess(PciRig& with) : rig(with), at(with.find(5).at) {}
    void aim(u8 bar, u32 offset, u32 length) const {
        rig.set_config(PciRig::kDevfn, static_cast<u16>(at + 4), 1, bar);
        rig.set_config(PciRig::kDevfn, static_cast<u16>(at + 8), 4, offset);
        rig.set_config(PciRig::kDevfn, static_cast<u16>(at + 12), 4, length);
    }
    [[nodiscard]] u32 read(u8 size) const {
        return rig.config(PciRig::kDevfn, static_cast<u16>(at + 16), size);
    }
    void write(u8 size, u32 value) const {
        rig.set_config(PciRig::kDevfn, static_cast<u16>(at + 16), size, value);
    }
    PciRig& rig;
    u16 at;
};

}  // namespace

TEST_CASE("a driver without a memory mapping works through configuration space", "[pci_transport]") {
    PciRig rig;
    const ConfigAccess access(rig);
    access.aim(2, common::kNumQueues, 2);
    CHECK(access.read(2) == 2);
    access.aim(2, common::kStatus, 1);
    access.write(1, 3);
    CHECK(rig.status() == 3);
    CHECK(access.read(1) == 3);
    rig.set_status(131);
    CHECK(access.read(1) == 131);  // the present value, not that of when it was aimed
    access.write(1, 0);
    CHECK(access.read(1) == 0);
    access.aim(2, 0x104, 4);
    CHECK(access.read(4) == 0xc7c6'c5c4);
    rig.start();
    access.aim(4, 0x800, 2);
    rig.driver.add(ChainBuilder().writable(rig.data, 16));
    access.write(2, 0);
    CHECK(rig.driver.take_used());
}

TEST_CASE("the ISR is read, and cleared, through configuration space", "[pci_transport]") {
    PciRig rig(true);
    const ConfigAccess access(rig);
    rig.start();
    rig.round_trip();
    access.aim(4, 0, 1);
    CHECK(rig.pin.level);
    CHECK(access.read(1) == 1);
    CHECK_FALSE(rig.pin.level);
    CHECK(access.read(1) == 0);
    // An access of size 0 clears nothing.
    rig.round_trip();
    access.aim(4, 0, GENERATE(0U, 3U, 8U, 0xffff'ffffU));
    (void)access.read(4);
    CHECK(rig.pin.level);
    CHECK(rig.isr() == 1);
}

TEST_CASE("invalid accesses through configuration space do nothing", "[pci_transport]") {
    PciRig rig(GENERATE(false, true));
    const ConfigAccess access(rig);
    for (const u8 bar : {u8{0}, u8{1}, u8{2}, u8{3}, u8{4}, u8{5}, u8{6}, u8{255}}) {
        for (const u32 offset : {0U, 1U, 20U, 0x7feU, 0xffeU, 0xffcU, 0x1000U, 0xffff'fffcU, 0xffff'ffffU}) {
            for (const u32 length : {0U, 1U, 2U, 3U, 4U, 5U, 8U, 0x8000'0000U}) {
                if (bar == 2 && offset == 20 && length == 1) continue;
                if (bar == 0 && length != 0) continue;  // the legacy registers are registers
                access.aim(bar, offset, length);
                (void)access.read(4);
                access.write(4, 0xffff'ffff);
            }
        }
    }
    CHECK(rig.status() == 0);
}

// --- the page is what a trapped read returns ---

TEST_CASE("after any accesses the window shows what a trapped read returns", "[pci_transport]") {
    PciRig rig(true);
    std::mt19937 random(20261122);
    const auto pick = [&](auto... values) {
        const std::array all{static_cast<u64>(values)...};
        return all[random() % all.size()];
    };
    for (int i = 0; i < 20000; ++i) {
        const u8 size = static_cast<u8>(1U << (random() % 4));
        switch (random() % 10) {
            case 0: rig.set(static_cast<u32>(random() % 64), size, pick(0, 1, 3, 11, 15, random())); break;
            case 1: rig.set(static_cast<u32>(random() % 0x1000 & ~7U), size, random()); break;
            case 2: rig.start(); break;
            case 3:
                rig.set_port(static_cast<u16>(random() % 40), static_cast<u8>(1U << (random() % 3)),
                             random());
                break;
            case 4: (void)rig.port(static_cast<u16>(random() % 40), 1); break;
            case 5: rig.change_config(random() % 12, static_cast<u8>(random())); break;
            case 6: rig.set_msix(random() % 2 == 0, random() % 2 == 0); break;
            case 7: rig.notify(static_cast<u32>(random() % 4)); break;
            case 8: rig.set_status(static_cast<u8>(pick(0, 1, 3, 11, 15, 128))); break;
            default: rig.set(common::kQueueSelect, 2, random() % 3); break;
        }
        const u32 at = static_cast<u32>(random() % 4088);
        REQUIRE(rig.memory.read(PciRig::kConfig + at, size) == rig.get(at, size));
        REQUIRE(rig.memory.read(PciRig::kConfig + common::kStatus, 1) == rig.core.state().status);
        REQUIRE(rig.memory.read(PciRig::kConfig + 0x100 + at % 12, 1) ==
                std::to_integer<u8>(rig.device.config()[at % 12]));
        const u64 select = rig.get(common::kDeviceFeatureSelect, 4);
        REQUIRE(rig.memory.read(PciRig::kConfig + common::kDeviceFeature, 4) ==
                (select > 1 ? 0 : (rig.core.offered_features() >> (32 * select)) & 0xffff'ffff));
        const u16 queue = static_cast<u16>(rig.get(common::kQueueSelect, 2));
        REQUIRE(rig.memory.read(PciRig::kConfig + common::kQueueSize, 2) ==
                (queue < 2 ? rig.core.queue_state(queue).size : 0));
    }
}

TEST_CASE("a reset waits for I/O, and the page says when it is done", "[pci_transport]") {
    PciRig rig;
    rig.start();
    rig.device.is_holding = true;
    rig.driver.add(ChainBuilder().writable(rig.data, 16));
    rig.notify(0);
    std::thread resetting([&] { rig.set_status(0); });
    while (true) {
        const Lock guard(rig.core.mutex());
        if (rig.device.cancels != 0) break;
    }
    CHECK(rig.memory.read(PciRig::kConfig + common::kStatus, 1) == 15);
    rig.set_status(0);  // of another CPU; does not wait
    rig.set(common::kQueueSelect, 2, 1);
    CHECK(rig.status() == 15);
    {
        const Lock guard(rig.core.mutex());
        rig.device.finish_one();
    }
    resetting.join();
    CHECK(rig.memory.read(PciRig::kConfig + common::kStatus, 1) == 0);
    CHECK(rig.get(common::kQueueSelect, 2) == 0);
    CHECK(rig.isr() == 0);
}

TEST_CASE("a 64-bit field never shows half of a change", "[pci_transport]") {
    // As block's capacity: another vCPU reads it from the page while it changes.
    PciRig rig;
    for (std::size_t at = 0; at < 12; ++at) rig.change_config(at, 0);
    std::atomic<bool> has_ended = false;
    std::thread changing([&] {
        for (int i = 0; i < 20000; ++i) {
            const Lock guard(rig.core.mutex());
            for (std::size_t at = 0; at < 8; ++at) rig.device.set_config(at, i % 2 == 0 ? 0xff : 0);
            rig.core.config_changed();
        }
        has_ended = true;
    });
    const std::span<const std::byte> page = rig.memory.bytes().subspan(PciRig::kConfig - kWindowBase);
    u64 torn = 0;
    while (!has_ended) {
        const u64 field = load_word<u64>(page, 0x100);
        if (field != 0 && field != ~u64{0}) ++torn;
    }
    changing.join();
    CHECK(torn == 0);
}
