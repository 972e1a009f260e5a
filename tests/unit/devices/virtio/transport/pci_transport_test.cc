// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/pci_transport.h"

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/pci_rig.h"

using namespace mayfly;

namespace {

constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kPacked = u64{1} << 34;
constexpr u64 kEventIdx = u64{1} << 29;
constexpr u64 kIndirect = u64{1} << 28;
constexpr u64 kOffered = 0x0004'0000'0000'0225 | kVersion1 | kPacked | kEventIdx | kIndirect;
constexpr u16 kNoVector = 0xffff;

}  // namespace

TEST_CASE("a modern device is identified as the specification says", "[pci_transport]") {
    PciRig rig;
    CHECK(rig.config(PciRig::kDevfn, 0x00) == 0x1042'1af4);
    CHECK(rig.config(PciRig::kDevfn, 0x08, 1) == 1);
    CHECK(rig.config(PciRig::kDevfn, 0x2c, 2) == 0x1af4);
    CHECK(rig.config(PciRig::kDevfn, 0x2e, 2) >= 0x40);
    CHECK(rig.config(PciRig::kDevfn, 0x3d, 1) == 0);
    CHECK((rig.config(PciRig::kDevfn, 0x06, 2) & 0x10) != 0);
}

TEST_CASE("a transitional device has the old ids and revision 0", "[pci_transport]") {
    const auto [type, id] = GENERATE(std::pair<u16, u32>{1, 0x1000}, std::pair<u16, u32>{2, 0x1001},
                                     std::pair<u16, u32>{3, 0x1003}, std::pair<u16, u32>{4, 0x1005});
    FakeVirtioDevice device;
    device.id = type;
    const auto options = PciTransport::function_options(
        device, {.config_address = 0, .trap_address = 0, .legacy_port = 0xc000, .interrupt_line = 11});
    CHECK(options.vendor_id == 0x1af4);
    CHECK(options.device_id == id);
    CHECK(options.revision_id == 0);
    CHECK(options.subsystem_id == type);
    CHECK(options.interrupt_pin == 1);
    CHECK(options.bars[0].kind == BarKind::Io);
}

TEST_CASE("a device's class tells its purpose", "[pci_transport]") {
    const auto [type, code] = GENERATE(std::pair<u16, u32>{1, 0x02'0000}, std::pair<u16, u32>{2, 0x01'0000},
                                       std::pair<u16, u32>{3, 0x07'8000}, std::pair<u16, u32>{4, 0xff'0000},
                                       std::pair<u16, u32>{26, 0x01'8000});
    FakeVirtioDevice device;
    device.id = type;
    const auto options = PciTransport::function_options(
        device, {.config_address = 0, .trap_address = 0, .legacy_port = 0, .interrupt_line = 11});
    CHECK(options.device_id == 0x1040 + type);
    CHECK(options.class_code == code);
    CHECK(options.interrupt_pin == 1);
}

TEST_CASE("every structure is found through a capability, inside its BAR and aligned", "[pci_transport]") {
    PciRig rig;
    for (const u8 type : {u8{1}, u8{2}, u8{3}, u8{4}, u8{5}}) CHECK(rig.find(type).at != 0);
    CHECK(rig.find(6).at == 0);
    CHECK(rig.find(8).at == 0);
    const auto common = rig.find(1);
    CHECK(common.length >= common::kBytes);
    CHECK(common.offset % 4 == 0);
    const auto notify = rig.find(2);
    CHECK(notify.offset % 2 == 0);
    const u32 multiplier = rig.config(PciRig::kDevfn, static_cast<u16>(notify.at + 16));
    CHECK(multiplier == 4);
    CHECK(notify.length >= 1 * multiplier + 2);
    CHECK(rig.config(PciRig::kDevfn, static_cast<u16>(notify.at + 2), 1) == 20);
    CHECK(rig.config(PciRig::kDevfn, static_cast<u16>(common.at + 2), 1) == 16);
    CHECK(rig.find(3).length >= 1);
    CHECK(rig.find(4).length == 12);
    CHECK(rig.find(4).offset % 4 == 0);
    CHECK(rig.config(PciRig::kDevfn, static_cast<u16>(rig.find(5).at + 2), 1) == 20);
    const auto msix = rig.find(0, 0x11);
    CHECK(rig.config(PciRig::kDevfn, static_cast<u16>(msix.at + 2), 2) == 2);  // 3 vectors, off
}

TEST_CASE("a device without configuration has no capability for it", "[pci_transport]") {
    PciRig rig(false, {8}, 0);
    CHECK(rig.find(4).at == 0);
    rig.start();
    CHECK(rig.status() == 15);
    rig.core.config_changed();
    CHECK(rig.get(0x100, 4) == 0);
}

TEST_CASE("common configuration at reset, read at every width", "[pci_transport]") {
    PciRig rig;
    const auto check = [&] {
        CHECK(rig.get(common::kDeviceFeatureSelect, 4) == 0);
        CHECK(rig.get(common::kDeviceFeature, 4) == (kOffered & 0xffff'ffff));
        CHECK(rig.get(common::kDriverFeatureSelect, 4) == 0);
        CHECK(rig.get(common::kDriverFeature, 4) == 0);
        CHECK(rig.get(common::kConfigVector, 2) == kNoVector);
        CHECK(rig.get(common::kNumQueues, 2) == 2);
        CHECK(rig.get(common::kStatus, 1) == 0);
        CHECK(rig.get(common::kQueueSelect, 2) == 0);
        CHECK(rig.get(common::kQueueSize, 2) == 8);
        CHECK(rig.get(common::kQueueVector, 2) == kNoVector);
        CHECK(rig.get(common::kQueueEnable, 2) == 0);
        CHECK(rig.get(common::kQueueNotifyOff, 2) == 0);
        for (const u32 field : {common::kQueueDesc, common::kQueueDriver, common::kQueueDevice}) {
            CHECK(rig.get(field, 8) == 0);
            CHECK(rig.get(field + 4, 4) == 0);
        }
        for (u32 at = 0; at < common::kBytes; ++at)
            for (const u8 size : {u8{2}, u8{4}, u8{8}}) CHECK((rig.get(at, size) & 0xff) == rig.get(at, 1));
        for (u32 at = common::kBytes; at < 0x100; at += 8) CHECK(rig.get(at, 8) == 0);
    };
    check();
    rig.start();
    rig.set(common::kConfigVector, 2, 1);
    rig.set(common::kQueueVector, 2, 2);
    rig.set(common::kQueueSelect, 2, 1);
    rig.set(common::kDeviceFeatureSelect, 4, 7);
    rig.set_status(0);
    check();
    rig.set(common::kQueueSelect, 2, 1);
    CHECK(rig.get(common::kQueueSize, 2) == 16);
    CHECK(rig.get(common::kQueueNotifyOff, 2) == 1);
}

TEST_CASE("features are shown 32 bits at a time, and none beyond 64", "[pci_transport]") {
    PciRig rig;
    rig.set(common::kDeviceFeatureSelect, 4, 1);
    CHECK(rig.get(common::kDeviceFeature, 4) == kOffered >> 32);
    for (const u32 select : {2U, 3U, 32U, 0xffff'ffffU}) {
        rig.set(common::kDeviceFeatureSelect, 4, select);
        CHECK(rig.get(common::kDeviceFeatureSelect, 4) == select);
        CHECK(rig.get(common::kDeviceFeature, 4) == 0);
        rig.set(common::kDriverFeatureSelect, 4, select);
        rig.set(common::kDriverFeature, 4, 0xffff'ffff);
        CHECK(rig.get(common::kDriverFeature, 4) == 0);
    }
    rig.accept(kVersion1 | 5);
    rig.set(common::kDriverFeatureSelect, 4, 0);
    CHECK(rig.get(common::kDriverFeature, 4) == 5);
    rig.set(common::kDriverFeatureSelect, 4, 1);
    CHECK(rig.get(common::kDriverFeature, 4) == 1);
    rig.set_status(11);
    rig.set(common::kDriverFeature, 4, 0xffff'ffff);
    CHECK(rig.get(common::kDriverFeature, 4) == 1);
    CHECK(rig.status() == 11);
}

TEST_CASE("registers that a driver only reads keep their values", "[pci_transport]") {
    PciRig rig;
    const u64 generation = rig.get(common::kGeneration, 1);
    rig.set(common::kDeviceFeature, 4, 0);
    rig.set(common::kNumQueues, 2, 99);
    rig.set(common::kGeneration, 1, generation + 7);
    rig.set(common::kQueueNotifyOff, 2, 9);
    CHECK(rig.get(common::kDeviceFeature, 4) == (kOffered & 0xffff'ffff));
    CHECK(rig.get(common::kNumQueues, 2) == 2);
    CHECK(rig.get(common::kGeneration, 1) == generation);
    CHECK(rig.get(common::kQueueNotifyOff, 2) == 0);
}

TEST_CASE("a write of another width than the register's does nothing", "[pci_transport]") {
    PciRig rig;
    const auto snapshot = [&] {
        std::vector<u64> words;
        for (u32 at = 0; at < common::kBytes; at += 8) words.push_back(rig.get(at, 8));
        return words;
    };
    const auto before = snapshot();
    for (const u32 field :
         {common::kDeviceFeatureSelect, common::kDriverFeatureSelect, common::kDriverFeature})
        for (const u8 size : {u8{1}, u8{2}, u8{8}}) rig.set(field, size, 1);
    for (const u32 field : {common::kConfigVector, common::kQueueSelect, common::kQueueSize,
                            common::kQueueVector, common::kQueueEnable})
        for (const u8 size : {u8{1}, u8{4}, u8{8}}) rig.set(field, size, 1);
    for (const u8 size : {u8{2}, u8{4}, u8{8}}) rig.set(common::kStatus, size, 1);
    for (const u32 field : {common::kQueueDesc, common::kQueueDriver, common::kQueueDevice})
        for (const u32 at : {field, field + 4})
            for (const u8 size : {u8{1}, u8{2}}) rig.set(at, size, 1);
    rig.set(common::kQueueDesc + 4, 8, ~u64{0});
    for (u32 at = 0; at < common::kBytes; ++at)
        for (const u8 size : {u8{2}, u8{4}, u8{8}})
            if (at % std::min<u8>(size, 4) != 0) rig.set(at, size, 1);
    CHECK(snapshot() == before);
}

TEST_CASE("both halves of a queue's addresses are set alone, or as one", "[pci_transport]") {
    PciRig rig;
    rig.set(common::kQueueSelect, 2, 1);
    for (const u32 field : {common::kQueueDesc, common::kQueueDriver, common::kQueueDevice}) {
        rig.set(field + 4, 4, 0x1122'3344);
        CHECK(rig.get(field, 8) == 0x1122'3344'0000'0000);
        rig.set(field, 4, 0x5566'7788);
        CHECK(rig.get(field, 8) == 0x1122'3344'5566'7788);
        rig.set(field, 8, 0x99aa'bbcc'ddee'ff00);
        CHECK(rig.get(field, 4) == 0xddee'ff00);
        CHECK(rig.get(field + 4, 4) == 0x99aa'bbcc);
    }
    rig.set(common::kQueueSelect, 2, 0);
    CHECK(rig.get(common::kQueueDesc, 8) == 0);
}

TEST_CASE("a queue that does not exist has size 0 and takes nothing", "[pci_transport]") {
    PciRig rig;
    const u16 queue = GENERATE(as<u16>(), 2, 3, 0x7fff, 0xffff);
    rig.set(common::kQueueSelect, 2, queue);
    rig.set(common::kQueueSize, 2, 8);
    rig.set(common::kQueueVector, 2, 0);
    rig.set(common::kQueueDesc, 8, 4096);
    rig.set(common::kQueueEnable, 2, 1);
    CHECK(rig.get(common::kQueueSelect, 2) == queue);
    CHECK(rig.get(common::kQueueSize, 2) == 0);
    CHECK(rig.get(common::kQueueVector, 2) == kNoVector);
    CHECK(rig.get(common::kQueueEnable, 2) == 0);
    CHECK(rig.get(common::kQueueDesc, 8) == 0);
}

TEST_CASE("queue_size is a power of two or 0 unless packed rings were negotiated", "[pci_transport]") {
    PciRig rig;
    for (const u64 size : {1U, 2U, 4U, 8U}) {
        rig.set(common::kQueueSize, 2, size);
        CHECK(rig.get(common::kQueueSize, 2) == size);
    }
    for (const u64 size : {3U, 7U, 12U, 0xffffU}) {
        rig.set(common::kQueueSize, 2, size);
        const u64 shown = rig.get(common::kQueueSize, 2);
        CHECK((shown & (shown - 1)) == 0);
    }
    // The value was invalid: the queue must not run with another.
    rig.set_status(3);
    rig.accept(kVersion1);
    rig.set_status(11);
    rig.set_queue(0, rig.driver);
    rig.set(common::kQueueSize, 2, 7);
    rig.set_status(15);
    CHECK(rig.status() == (15 | 64));
}

TEST_CASE("a packed queue of any size works", "[pci_transport]") {
    PciRig rig;
    DriverQueue packed(rig.ram, {.size = 7, .is_packed = true});
    rig.set_status(3);
    rig.accept(kVersion1 | kPacked);
    rig.set_status(11);
    rig.set_queue(0, packed);
    CHECK(rig.get(common::kQueueSize, 2) == 7);
    rig.set_status(15);
    CHECK(rig.status() == 15);
    packed.add(ChainBuilder().writable(rig.data, 16));
    rig.notify(0);
    CHECK(packed.take_used());
}

TEST_CASE("a queue is enabled by 1 and by nothing else, and not disabled", "[pci_transport]") {
    PciRig rig;
    for (const u64 value : {0U, 2U, 3U, 0xffffU, 0x8001U}) {
        rig.set(common::kQueueEnable, 2, value);
        CHECK(rig.get(common::kQueueEnable, 2) == 0);
    }
    rig.set(common::kQueueEnable, 2, 1);
    rig.set(common::kQueueEnable, 2, 0);
    CHECK(rig.get(common::kQueueEnable, 2) == 1);
}

TEST_CASE("a driver sets its device up and has buffers come back", "[pci_transport]") {
    PciRig rig;
    rig.start(kVersion1 | kEventIdx);
    CHECK(rig.status() == 15);
    CHECK(rig.device.accepted == (kVersion1 | kEventIdx));
    CHECK(rig.round_trip());
    // The rings are not moved under a device that runs.
    rig.set(common::kQueueDesc, 8, 0);
    rig.set(common::kQueueSize, 2, 2);
    CHECK(rig.get(common::kQueueSize, 2) == 8);
    CHECK(rig.round_trip());
}

TEST_CASE("a refused FEATURES_OK reads back as clear", "[pci_transport]") {
    PciRig rig;
    rig.set_status(3);
    rig.accept(kVersion1 | 2);
    rig.set_status(11);
    CHECK(rig.status() == 3);
    rig.accept(1);
    rig.set_status(11);
    CHECK(rig.status() == 3);
    rig.set_status(15);
    CHECK(rig.status() == (7 | 64));
}

TEST_CASE("a doorbell is any write at a queue's place, whatever its value", "[pci_transport]") {
    PciRig rig;
    rig.start();
    rig.notify(0, 2);
    rig.notify(0, 4);
    rig.mmio_write(PciRig::kTrapAddress + 0x800, 1, 0xee);
    rig.mmio_write(PciRig::kTrapAddress + 0x804, 8, ~u64{0});
    CHECK(rig.worker.doorbells == std::vector<u16>{0, 0, 0, 1});
    rig.worker.doorbells.clear();
    for (u32 at = 2; at < 512; ++at) rig.mmio_write(PciRig::kTrapAddress + 0x800 + at * 4, 4, 0);
    rig.mmio_write(PciRig::kTrapAddress + 0x801, 2, 0);
    rig.mmio_write(PciRig::kTrapAddress + 0x7fe, 4, 0);
    rig.mmio_write(PciRig::kTrapAddress, 4, 0);
    CHECK(rig.worker.doorbells.empty());
    CHECK(rig.mmio_read(PciRig::kTrapAddress + 0x800, 4) == 0);
}

TEST_CASE("the doorbells' places follow their BAR", "[pci_transport]") {
    PciRig rig;
    CHECK(rig.transport.doorbells(1)[0] ==
          DoorbellPlace{.address = PciRig::kTrapAddress + 0x804, .match = {}});
    CHECK_FALSE(rig.transport.doorbells(1)[1]);
    rig.set_config(PciRig::kDevfn, 0x20, 4, 0xd000'0000);
    CHECK(rig.transport.doorbells(0)[0]->address == 0xd000'0800);
    CHECK(rig.worker.moves == 1);
    rig.set_config(PciRig::kDevfn, 0x04, 2, 0);
    CHECK_FALSE(rig.transport.doorbells(0)[0]);
    CHECK(rig.worker.moves == 2);
}
