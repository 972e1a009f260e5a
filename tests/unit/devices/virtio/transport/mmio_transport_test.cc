// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/mmio_transport.h"

#include <thread>

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_transport.h"

using namespace mayfly;

namespace {

// VIRTIO 1.2 §4.2.2 "MMIO Device Register Layout"
constexpr u64 kMagic = 0x000;
constexpr u64 kVersion = 0x004;
constexpr u64 kDeviceId = 0x008;
constexpr u64 kVendorId = 0x00c;
constexpr u64 kDeviceFeatures = 0x010;
constexpr u64 kDeviceFeaturesSel = 0x014;
constexpr u64 kDriverFeatures = 0x020;
constexpr u64 kDriverFeaturesSel = 0x024;
constexpr u64 kQueueSel = 0x030;
constexpr u64 kQueueNumMax = 0x034;
constexpr u64 kQueueNum = 0x038;
constexpr u64 kQueueReady = 0x044;
constexpr u64 kQueueNotify = 0x050;
constexpr u64 kInterruptStatus = 0x060;
constexpr u64 kInterruptAck = 0x064;
constexpr u64 kStatus = 0x070;
constexpr u64 kQueueDesc = 0x080;
constexpr u64 kQueueDriver = 0x090;
constexpr u64 kQueueDevice = 0x0a0;
constexpr u64 kShmSel = 0x0ac;
constexpr u64 kConfigGeneration = 0x0fc;
constexpr u64 kConfig = 0x100;

constexpr u64 kBase = 0xc000'1000;
constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kOffered = 0x0004'0000'0000'0225 | kVersion1 | u64{1} << 34 | u64{1} << 29 | u64{1} << 28;

struct MmioRig {
    u32 get(u64 offset) { return static_cast<u32>(transport.io_read({offset, 4})); }
    void set(u64 offset, u32 value) { transport.io_write({offset, 4}, value); }
    void accept(u64 features) {
        for (u32 word = 0; word < 2; ++word) {
            set(kDriverFeaturesSel, word);
            set(kDriverFeatures, static_cast<u32>(features >> (32 * word)));
        }
    }
    void set_queue(u16 index, const DriverQueue& with) {
        const QueueSetup setup = with.setup();
        set(kQueueSel, index);
        set(kQueueNum, setup.size);
        const auto address = [&](u64 offset, Gpa at) {
            set(offset, static_cast<u32>(at.value));
            set(offset + 4, static_cast<u32>(at.value >> 32));
        };
        address(kQueueDesc, setup.descriptors);
        address(kQueueDriver, setup.driver_area);
        address(kQueueDevice, setup.device_area);
        set(kQueueReady, 1);
    }
    void start(u64 features = kVersion1) {
        set(kStatus, 0);
        set(kStatus, 1);
        set(kStatus, 3);
        accept(features);
        set(kStatus, 11);
        set_queue(0, driver);
        set(kStatus, 15);
    }
    bool round_trip() {
        driver.add(ChainBuilder().writable(data, 16));
        set(kQueueNotify, 0);
        return driver.take_used().has_value();
    }
    void change_config(std::size_t at, u8 value) {
        const Lock guard(core.mutex());
        device.set_config(at, value);
        core.config_changed();
    }

    TestRam ram{u64{1} << 20};
    FakeVirtioDevice device;
    FakeQueueWorker worker;
    FakeEdge edge;
    VirtioCore core{device, ram.memory(), worker, VirtioCore::Kind::Modern};
    MmioTransport transport{core, edge, kBase};
    DriverQueue driver{ram, {.size = 8}};
    Gpa data = ram.allocate(4096);
};

}  // namespace

TEST_CASE("every mmio register at reset", "[mmio_transport]") {
    MmioRig rig;
    const auto check = [&] {
        CHECK(rig.get(kMagic) == 0x7472'6976);
        CHECK(rig.get(kVersion) == 2);
        CHECK(rig.get(kDeviceId) == 2);
        CHECK(rig.get(kVendorId) != 0);
        CHECK(rig.get(kDeviceFeatures) == (kOffered & 0xffff'ffff));
        CHECK(rig.get(kQueueNumMax) == 8);
        CHECK(rig.get(kQueueReady) == 0);
        CHECK(rig.get(kInterruptStatus) == 0);
        CHECK(rig.get(kStatus) == 0);
        for (const u64 write_only : {kDeviceFeaturesSel, kDriverFeatures, kDriverFeaturesSel, kQueueSel,
                                     kQueueNum, kQueueNotify, kInterruptAck, kQueueDesc, kQueueDesc + 4,
                                     kQueueDriver, kQueueDriver + 4, kQueueDevice, kQueueDevice + 4, kShmSel})
            CHECK(rig.get(write_only) == 0);
        for (u64 shared = 0xb0; shared <= 0xbc; shared += 4) CHECK(rig.get(shared) == 0xffff'ffff);
    };
    check();
    rig.start();
    rig.round_trip();
    rig.set(kQueueSel, 1);
    rig.set(kDeviceFeaturesSel, 1);
    rig.set(kStatus, 0);
    check();
}

TEST_CASE("an mmio register is read and written as 32 aligned bits or not at all", "[mmio_transport]") {
    MmioRig rig;
    for (u64 at = 0; at < kConfig; ++at) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}, u8{8}}) {
            if (size == 4 && at % 4 == 0) continue;
            CHECK(rig.transport.io_read({at, size}) == all_ones(size));
            rig.transport.io_write({at, size}, 1);
        }
    }
    CHECK(rig.get(kStatus) == 0);
    CHECK(rig.get(kQueueReady) == 0);
    CHECK(rig.get(kQueueNumMax) == 8);
}

TEST_CASE("mmio features come 32 bits at a time, and none beyond 64", "[mmio_transport]") {
    MmioRig rig;
    rig.set(kDeviceFeaturesSel, 1);
    CHECK(rig.get(kDeviceFeatures) == kOffered >> 32);
    for (const u32 select : {2U, 32U, 0xffff'ffffU}) {
        rig.set(kDeviceFeaturesSel, select);
        CHECK(rig.get(kDeviceFeatures) == 0);
        rig.set(kDriverFeaturesSel, select);
        rig.set(kDriverFeatures, ~0U);
    }
    CHECK(rig.core.state().driver_features == 0);
    rig.start(kVersion1 | 0x20);
    CHECK(rig.get(kStatus) == 15);
    CHECK(rig.device.accepted == (kVersion1 | 0x20));
}

TEST_CASE("an mmio driver without VERSION_1 gets no FEATURES_OK", "[mmio_transport]") {
    MmioRig rig;
    rig.start(0x20);
    CHECK(rig.get(kStatus) == (7 | 64));
    CHECK(rig.get(kInterruptStatus) == 2);
    CHECK(rig.edge.edges == 1);
}

TEST_CASE("buffers come back over mmio, with an interrupt that is acknowledged", "[mmio_transport]") {
    MmioRig rig;
    rig.start();
    CHECK(rig.round_trip());
    CHECK(rig.edge.edges == 1);
    CHECK(rig.get(kInterruptStatus) == 1);
    CHECK(rig.get(kInterruptStatus) == 1);
    rig.change_config(0, 1);
    CHECK(rig.get(kInterruptStatus) == 3);
    CHECK(rig.edge.edges == 2);
    rig.set(kInterruptAck, 0xffff'fffc);
    CHECK(rig.get(kInterruptStatus) == 3);
    rig.set(kInterruptAck, 1);
    CHECK(rig.get(kInterruptStatus) == 2);
    rig.set(kInterruptAck, 2);
    CHECK(rig.get(kInterruptStatus) == 0);
    // An event whose bit is set already is an edge all the same.
    rig.round_trip();
    rig.round_trip();
    CHECK(rig.edge.edges == 4);
    CHECK(rig.core.queue(0).counts.interrupts_line == 3);
}

TEST_CASE("mmio queue numbers beyond the last select no queue", "[mmio_transport]") {
    MmioRig rig;
    rig.start();
    for (const u32 queue : {2U, 0x10000U, 0xffff'ffffU}) {
        rig.set(kQueueSel, queue);
        CHECK(rig.get(kQueueNumMax) == 0);
        CHECK(rig.get(kQueueReady) == 0);
        rig.set(kQueueReady, 1);
        CHECK(rig.get(kQueueReady) == 0);
        rig.set(kQueueNotify, queue);
    }
    CHECK(rig.worker.doorbells.empty());
    rig.set(kQueueSel, 1);
    CHECK(rig.get(kQueueNumMax) == 16);
}

TEST_CASE("invalid mmio queue sizes make a device that needs a reset", "[mmio_transport]") {
    MmioRig rig;
    const u32 size = GENERATE(0U, 3U, 16U, 0x8000U, 0x1'0000U, 0x1'0008U, 0xffff'ffffU);
    rig.set(kStatus, 3);
    rig.accept(kVersion1);
    rig.set(kStatus, 11);
    rig.set_queue(0, rig.driver);
    rig.set(kQueueNum, size);
    rig.set(kStatus, 15);
    CHECK(rig.get(kStatus) == (15 | 64));
    CHECK_FALSE(rig.core.is_running());
}

TEST_CASE("an mmio queue is taken back before the start, and not moved after it", "[mmio_transport]") {
    MmioRig rig;
    rig.set_queue(0, rig.driver);
    CHECK(rig.get(kQueueReady) == 1);
    rig.set(kQueueReady, 0);
    CHECK(rig.get(kQueueReady) == 0);
    rig.start();
    rig.set(kQueueDesc, 0);
    rig.set(kQueueNum, 4);
    CHECK(rig.round_trip());
}

TEST_CASE("an mmio reset clears the interrupts and the ready bits", "[mmio_transport]") {
    MmioRig rig;
    rig.start();
    rig.round_trip();
    rig.set(kStatus, 0);
    CHECK(rig.get(kInterruptStatus) == 0);
    CHECK(rig.get(kQueueReady) == 0);
    rig.driver.restart();
    rig.start();
    CHECK(rig.round_trip());
}

TEST_CASE("only a 0 resets an mmio device, not a word whose low byte is 0", "[mmio_transport]") {
    MmioRig rig;
    rig.start();
    rig.round_trip();
    rig.set(kStatus, 0x100);
    CHECK(rig.get(kStatus) == 15);
    CHECK(rig.get(kInterruptStatus) == 1);
    CHECK(rig.device.stops == 0);
}

TEST_CASE("mmio configuration is read at every width and written", "[mmio_transport]") {
    MmioRig rig;
    for (u64 at = 0; at < 12; ++at) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}, u8{8}}) {
            u64 expected = 0;
            for (u64 i = 0; i < size; ++i)
                if (at + i < 12) expected |= (0xc0 + at + i) << (8 * i);
            CHECK(rig.transport.io_read({kConfig + at, size}) == expected);
        }
    }
    CHECK(rig.get(kConfig + 12) == 0);
    CHECK(rig.transport.io_read({0xfff, 1}) == 0);
    rig.transport.io_write({kConfig + 1, 2}, 0x2211);
    CHECK(rig.get(kConfig) == 0xc322'11c0);
    rig.transport.io_write({0xff8, 8}, ~u64{0});
}

TEST_CASE("the mmio generation changes with the configuration and wraps late", "[mmio_transport]") {
    MmioRig rig;
    const u32 first = rig.get(kConfigGeneration);
    CHECK(rig.get(kConfigGeneration) == first);
    for (int i = 0; i < 256; ++i) rig.change_config(0, static_cast<u8>(i));
    CHECK(rig.get(kConfigGeneration) != first);
    const u32 then = rig.get(kConfigGeneration);
    rig.start();
    rig.set(kStatus, 0);
    CHECK(rig.get(kConfigGeneration) == then);
}

TEST_CASE("random mmio accesses answer with no more bits than their width", "[mmio_transport]") {
    MmioRig rig;
    CHECK(hammer(rig.transport, MmioTransport::kSizeBytes) == 0);
    rig.set(kStatus, 0);
    CHECK(rig.get(kStatus) == 0);
    rig.start();
    CHECK(rig.round_trip());
}

TEST_CASE("an mmio queue's doorbell is its number at one place", "[mmio_transport]") {
    MmioRig rig;
    CHECK(rig.transport.doorbells(1)[0] ==
          DoorbellPlace{.address = kBase + 0x50, .is_port = false, .size_bytes = 4, .match = u16{1}});
    CHECK_FALSE(rig.transport.doorbells(1)[1]);
}

TEST_CASE("an mmio reset shows 0 when the I/O has ended", "[mmio_transport]") {
    MmioRig rig;
    rig.start();
    rig.device.is_holding = true;
    rig.driver.add(ChainBuilder().writable(rig.data, 16));
    rig.set(kQueueNotify, 0);
    std::thread resetting([&] { rig.set(kStatus, 0); });
    while (true) {
        const Lock guard(rig.core.mutex());
        if (rig.device.cancels != 0) break;
    }
    CHECK(rig.get(kStatus) == 15);
    rig.set(kStatus, 0);
    CHECK(rig.get(kStatus) == 15);
    {
        const Lock guard(rig.core.mutex());
        rig.device.finish_one();
    }
    resetting.join();
    CHECK(rig.get(kStatus) == 0);
    CHECK(rig.get(kInterruptStatus) == 0);
}
