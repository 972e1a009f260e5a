// SPDX-License-Identifier: Apache-2.0
// A driver from before VIRTIO 1.0, on the I/O BAR of a transitional device.
#include "devices/virtio/transport/legacy_registers.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/pci_rig.h"

using namespace mayfly;

namespace {

// VIRTIO 1.2 §4.1.4.10 "Legacy Interfaces: A Note on PCI Device Layout"
constexpr u16 kDeviceFeatures = 0;
constexpr u16 kDriverFeatures = 4;
constexpr u16 kQueueAddress = 8;
constexpr u16 kQueueSize = 12;
constexpr u16 kQueueSelect = 14;
constexpr u16 kQueueNotify = 16;
constexpr u16 kStatus = 18;
constexpr u16 kIsr = 19;
constexpr u16 kConfigVector = 20;
constexpr u16 kQueueVector = 22;

constexpr u32 kLegacyOffered = 0x225 | 1U << 27 | 1U << 28 | 1U << 29;

/// §2.7.2 "Legacy Interfaces: A Note on Virtqueue Layout": one piece of memory, written by hand.
struct LegacyQueue {
    LegacyQueue(TestRam& in, u16 entries)
        : ram(in), size(entries), base(ram.allocate(3 * 4096, 4096)), available(base + u64{16} * size) {
        const u64 end = available.value + 6 + 2 * u64{size};
        used = Gpa{(end + 4095) / 4096 * 4096};
    }
    [[nodiscard]] u32 page() const { return static_cast<u32>(base.value / 4096); }
    void add(Gpa buffer) {
        *ram.at<u64>(base) = buffer.value;
        *ram.at<u32>(base + 8) = 16;
        *ram.at<u16>(base + 12) = 2;  // device-writable
        ++*ram.at<u16>(available + 2);
    }
    [[nodiscard]] u16 used_count() const { return *ram.at<u16>(used + 2); }

    TestRam& ram;
    u16 size;
    Gpa base;
    Gpa available;
    Gpa used;
};

struct LegacyRig : PciRig {
    LegacyRig() : PciRig(true) {}
    void start(u32 features = 0) {
        set_port(kStatus, 1, 0);
        set_port(kStatus, 1, 1);
        set_port(kStatus, 1, 3);
        set_port(kDriverFeatures, 4, features);
        set_port(kQueueSelect, 2, 1);
        set_port(kQueueAddress, 4, queue.page());
        set_port(kStatus, 1, 7);
    }
    LegacyQueue queue{ram, 16};
};

}  // namespace

TEST_CASE("the legacy registers at reset", "[legacy]") {
    LegacyRig rig;
    const auto check = [&] {
        CHECK(rig.port(kDeviceFeatures, 4) == kLegacyOffered);
        CHECK(rig.port(kDriverFeatures, 4) == 0);
        CHECK(rig.port(kQueueAddress, 4) == 0);
        CHECK(rig.port(kQueueSize, 2) == 8);
        CHECK(rig.port(kQueueSelect, 2) == 0);
        CHECK(rig.port(kQueueNotify, 2) == 0);
        CHECK(rig.port(kStatus, 1) == 0);
        CHECK(rig.port(kIsr, 1) == 0);
    };
    check();
    rig.start(kLegacyOffered);
    rig.set_port(kStatus, 1, 0);
    check();
}

TEST_CASE("the legacy registers read narrow as their low bytes", "[legacy]") {
    LegacyRig rig;
    CHECK(rig.port(kDeviceFeatures, 1) == (kLegacyOffered & 0xff));
    CHECK(rig.port(kDeviceFeatures, 2) == (kLegacyOffered & 0xffff));
    CHECK(rig.port(kQueueSize, 1) == 8);
}

TEST_CASE("a legacy driver's queue is one piece of memory", "[legacy]") {
    LegacyRig rig;
    rig.start();
    CHECK(rig.port(kStatus, 1) == 7);
    CHECK(rig.port(kQueueAddress, 4) == rig.queue.page());
    CHECK(rig.port(kQueueSize, 2) == 16);
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 1);
    CHECK(rig.queue.used_count() == 1);
    CHECK(rig.worker.doorbells == std::vector<u16>{1});
    // Used entries are behind the padding: the rest of the available ring's page is untouched.
    CHECK(rig.queue.used.value == rig.queue.base.value + 4096);
}

TEST_CASE("a full-size legacy queue's used ring is on the page behind", "[legacy]") {
    // 256 entries: 4096 bytes of descriptors, 518 of the available ring, padded to 8192.
    PciRig rig(true, {256});
    LegacyQueue queue(rig.ram, 256);
    REQUIRE(queue.used.value == queue.base.value + 8192);
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kQueueAddress, 4, queue.page());
    rig.set_port(kStatus, 1, 7);
    queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 0);
    CHECK(queue.used_count() == 1);
}

TEST_CASE("a legacy driver gets at most 32 features, whatever it accepts", "[legacy]") {
    LegacyRig rig;
    rig.start(0xffff'ffff);
    CHECK(rig.device.accepted == kLegacyOffered);
    CHECK(rig.port(kDriverFeatures, 4) == kLegacyOffered);
    rig.set_port(kDriverFeatures, 4, 0);
    CHECK(rig.port(kDriverFeatures, 4) == kLegacyOffered);
}

TEST_CASE("a legacy driver does without FEATURES_OK, and can be followed by a modern one", "[legacy]") {
    LegacyRig rig;
    rig.start();
    CHECK(rig.core.is_running());
    static_cast<PciRig&>(rig).start();
    CHECK(rig.status() == 15);
    CHECK(rig.device.accepted == u64{1} << 32);
    rig.start();
    CHECK(rig.core.is_running());
    CHECK(rig.device.accepted == 0);
}

TEST_CASE("a read of the legacy registers does not disturb a modern driver", "[legacy]") {
    LegacyRig rig;
    (void)rig.port(kDeviceFeatures, 4);
    rig.set_status(0);
    rig.set(common::kDeviceFeatureSelect, 4, 1);
    CHECK((rig.get(common::kDeviceFeature, 4) & 1) == 1);
    static_cast<PciRig&>(rig).start();
    CHECK(rig.status() == 15);
}

TEST_CASE("reading the legacy ISR clears it and lowers the pin", "[legacy]") {
    LegacyRig rig;
    rig.start();
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 1);
    CHECK(rig.pin.level);
    CHECK(rig.port(kIsr, 1) == 1);
    CHECK_FALSE(rig.pin.level);
    CHECK(rig.port(kIsr, 1) == 0);
    rig.change_config(0, 1);
    CHECK(rig.port(kIsr, 1) == 2);
}

TEST_CASE("legacy configuration begins at 20, at 24 while MSI-X is on", "[legacy]") {
    LegacyRig rig;
    CHECK(rig.port(20, 1) == 0xc0);
    CHECK(rig.port(24, 4) == 0xc7c6'c5c4);
    rig.set_port(23, 1, 0x11);
    CHECK(rig.port(20, 4) == 0x11c2'c1c0);
    rig.set_msix(true);
    CHECK(rig.port(kConfigVector, 2) == 0xffff);
    CHECK(rig.port(kQueueVector, 2) == 0xffff);
    CHECK(rig.port(24, 4) == 0x11c2'c1c0);
    rig.set_port(24, 1, 0x22);
    rig.set_msix(false);
    CHECK(rig.port(20, 1) == 0x22);
}

TEST_CASE("legacy configuration reads the same at any width, and zeroes behind its end", "[legacy]") {
    LegacyRig rig;
    for (u16 at = 0; at < 40; ++at) {
        for (const u8 size : {u8{2}, u8{4}}) {
            u64 bytes = 0;
            for (u16 i = 0; i < size; ++i) bytes |= rig.port(static_cast<u16>(20 + at + i), 1) << (8 * i);
            CHECK(rig.port(static_cast<u16>(20 + at), size) == bytes);
        }
    }
    CHECK(rig.port(20 + 12, 1) == 0);
}

TEST_CASE("legacy vectors map events as the modern ones do", "[legacy]") {
    LegacyRig rig;
    rig.set_msix(true);
    rig.set_entry(1, 0xfee0'0000, 9, false);
    rig.start();
    rig.set_port(kQueueVector, 2, 1);
    CHECK(rig.port(kQueueVector, 2) == 1);
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 1);
    CHECK(rig.msi.sent == std::vector<u16>{1});
    rig.set_port(kConfigVector, 2, 3);
    CHECK(rig.port(kConfigVector, 2) == 0xffff);
    rig.set_port(kQueueSelect, 2, 2);
    rig.set_port(kQueueVector, 2, 0);
    CHECK(rig.port(kQueueVector, 2) == 0xffff);
}

TEST_CASE("a legacy queue that does not exist has size 0 and takes no address", "[legacy]") {
    LegacyRig rig;
    rig.set_port(kQueueSelect, 2, 2);
    rig.set_port(kQueueAddress, 4, 77);
    CHECK(rig.port(kQueueSize, 2) == 0);
    CHECK(rig.port(kQueueAddress, 4) == 0);
    CHECK(rig.port(kQueueSelect, 2) == 2);
    rig.set_port(kQueueNotify, 2, 2);
    rig.set_port(kQueueNotify, 2, 0xffff);
    CHECK(rig.worker.doorbells.empty());
}

TEST_CASE("a legacy queue outside RAM makes a device that needs a reset", "[legacy]") {
    LegacyRig rig;
    const u32 page = GENERATE(256U, 255U, 0xf'ffffU, 0xffff'ffffU);
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kQueueAddress, 4, page);
    CHECK(rig.port(kQueueAddress, 4) == page);
    rig.set_port(kStatus, 1, 7);
    CHECK(rig.port(kStatus, 1) == (7 | 64));
    CHECK_FALSE(rig.core.is_running());
}

TEST_CASE("page 0 takes a legacy queue away", "[legacy]") {
    LegacyRig rig;
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kQueueAddress, 4, rig.queue.page());
    rig.set_port(kQueueAddress, 4, 0);
    rig.set_port(kStatus, 1, 7);
    CHECK(rig.port(kStatus, 1) == 7);
    CHECK_FALSE(rig.core.queue(0).is_running());
}

TEST_CASE("a legacy driver may use its device before DRIVER_OK", "[legacy]") {
    // VIRTIO 1.2 §3.1.2 "Legacy Interface: Device Initialization": "The transitional device MUST support the
    // driver using the device before the step 8."
    LegacyRig rig;
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kDriverFeatures, 4, 0x21);
    rig.set_port(kQueueSelect, 2, 1);
    rig.set_port(kQueueAddress, 4, rig.queue.page());
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 0);  // not set up: no use yet
    CHECK_FALSE(rig.core.is_running());
    rig.set_port(kQueueNotify, 2, 1);
    CHECK(rig.queue.used_count() == 1);
    CHECK(rig.port(kIsr, 1) == 1);
    CHECK(rig.port(kStatus, 1) == 3);
    CHECK(rig.device.accepted == 0x21);
    // Queues that come later work too.
    LegacyQueue first(rig.ram, 8);
    rig.set_port(kQueueSelect, 2, 0);
    rig.set_port(kQueueAddress, 4, first.page());
    first.add(rig.data);
    rig.set_port(kQueueNotify, 2, 0);
    CHECK(first.used_count() == 1);
    rig.set_port(kStatus, 1, 7);
    CHECK(rig.port(kStatus, 1) == 7);
    CHECK(rig.device.starts == 1);
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 1);
    CHECK(rig.queue.used_count() == 2);
    rig.set_port(kStatus, 1, 0);
    CHECK(rig.device.stops == 1);
}

TEST_CASE("a legacy queue's doorbell is a port and its number", "[legacy]") {
    LegacyRig rig;
    CHECK(rig.transport.doorbells(1)[1] ==
          DoorbellPlace{.address = PciRig::kPort + 16, .is_port = true, .size_bytes = 2, .match = u16{1}});
}

TEST_CASE("an invalid queue leaves those in use alone, and DRIVER_OK does not start them again", "[legacy]") {
    LegacyRig rig;
    rig.device.is_holding = true;
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kQueueSelect, 2, 1);
    rig.set_port(kQueueAddress, 4, rig.queue.page());
    rig.queue.add(rig.data);
    rig.set_port(kQueueNotify, 2, 1);
    REQUIRE(rig.device.in_flight() == 1);
    // Queue 0 outside RAM, rung, and taken back.
    rig.set_port(kQueueSelect, 2, 0);
    rig.set_port(kQueueAddress, 4, 0xf'ffff);
    rig.set_port(kQueueNotify, 2, 0);
    CHECK(rig.port(kStatus, 1) == (3 | 64));
    rig.set_port(kQueueAddress, 4, 0);
    rig.pin.level = false;
    rig.set_port(kStatus, 1, 7);
    CHECK(rig.port(kStatus, 1) == (7 | 64));
    CHECK(rig.device.starts == 1);
    // The need for a reset is reported as soon as possible.
    CHECK(rig.pin.level);
    CHECK(rig.port(kIsr, 1) == 2);
    const Lock guard(rig.core.mutex());
    REQUIRE(rig.core.queue(1).is_running());
    rig.device.finish_one();
    CHECK(rig.queue.used_count() == 1);
}

TEST_CASE("the modern registers, too, cannot set up anew a queue in use before DRIVER_OK", "[legacy]") {
    LegacyRig rig;
    rig.set_port(kStatus, 1, 3);
    rig.set_port(kQueueSelect, 2, 1);
    rig.set_port(kQueueAddress, 4, rig.queue.page());
    rig.set_port(kQueueNotify, 2, 1);
    rig.set(common::kQueueSelect, 2, 1);
    rig.set(common::kQueueSize, 2, 4);
    rig.set(common::kQueueDesc, 4, 0x1000);
    CHECK(rig.get(common::kQueueSize, 2) == 16);
    CHECK(rig.get(common::kQueueDesc, 4) == rig.queue.base.value);
}
