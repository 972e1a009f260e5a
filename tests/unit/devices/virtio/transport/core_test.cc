// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/transport/core.h"

#include <algorithm>
#include <cstdio>
#include <string>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/devices/virtio/transport/core_rig.h"

using namespace mayfly;

namespace {

// VIRTIO 1.2 §2.1 "Device Status Field", §6 "Reserved Feature Bits"
constexpr u8 kAcknowledge = 1;
constexpr u8 kDriver = 2;
constexpr u8 kDriverOk = 4;
constexpr u8 kFeaturesOk = 8;
constexpr u8 kNeedsReset = 64;
constexpr u8 kFailed = 128;
constexpr u64 kAnyLayout = u64{1} << 27;
constexpr u64 kIndirect = u64{1} << 28;
constexpr u64 kEventIdx = u64{1} << 29;
constexpr u64 kVersion1 = u64{1} << 32;
constexpr u64 kPacked = u64{1} << 34;
constexpr u64 kDevice = 0x0004'0000'0000'0225;  // bits of the device's own

/// Sends the log to a file while it lives.
class StderrToFile {
  public:
    StderrToFile() : before_(::dup(2)), file_(std::tmpfile()) { ::dup2(::fileno(file_), 2); }
    ~StderrToFile() {
        ::dup2(before_, 2);
        ::close(before_);
        std::fclose(file_);
    }
    StderrToFile(const StderrToFile&) = delete;
    StderrToFile& operator=(const StderrToFile&) = delete;

    [[nodiscard]] std::string text() const {
        std::string bytes(u64{1} << 20, 0);
        const ssize_t count = ::pread(::fileno(file_), bytes.data(), bytes.size(), 0);
        bytes.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
        return bytes;
    }

  private:
    int before_;
    std::FILE* file_;
};

struct Rig {
    explicit Rig(VirtioCore::Kind kind = VirtioCore::Kind::Modern)
        : core(device, ram.memory(), worker, kind) {
        device.offered = kDevice;
        core.set_transport(transport);
    }

    bool write(u8 status) {
        const Lock lock(core.mutex());
        return core.write_status(status);
    }
    [[nodiscard]] u8 status() { return core.state().status; }
    void negotiate(u64 features = kVersion1) {
        write(kAcknowledge);
        write(kAcknowledge | kDriver);
        core.set_driver_features(features);
        write(kAcknowledge | kDriver | kFeaturesOk);
    }
    void set_queue(u16 index, const DriverQueue& driver) { core.queue_state(index) = registers_of(driver); }
    void start(u64 features = kVersion1) {
        negotiate(features);
        set_queue(0, first);
        write(kAcknowledge | kDriver | kFeaturesOk | kDriverOk);
    }

    TestRam ram{u64{1} << 20};
    FakeVirtioDevice device;
    FakeQueueWorker worker;
    FakeTransportClient transport;
    VirtioCore core;
    DriverQueue first{ram, {.size = 8}};
    DriverQueue second{ram, {.size = 16}};
    Gpa data = ram.allocate(4096);
};

}  // namespace

TEST_CASE("a new device has status 0, no features and its largest queues, disabled", "[core]") {
    Rig rig;
    CHECK(rig.status() == 0);
    CHECK(rig.core.state().driver_features == 0);
    CHECK(rig.core.queue_count() == 2);
    CHECK(rig.core.queue_state(0).size == 8);
    CHECK(rig.core.queue_state(1).size == 16);
    CHECK_FALSE(rig.core.queue_state(0).is_enabled);
    CHECK_FALSE(rig.core.is_running());
}

TEST_CASE("the device's features are offered with those of the rings", "[core]") {
    Rig rig;
    CHECK(rig.core.offered_features() == (kDevice | kIndirect | kEventIdx | kVersion1 | kPacked));
    rig.core.set_legacy_driver();
    CHECK(rig.core.offered_features() == ((kDevice & 0xffff'ffff) | kIndirect | kEventIdx | kAnyLayout));
}

TEST_CASE("a driver that keeps the order runs, with the features that it accepted", "[core]") {
    Rig rig;
    const u64 features = kVersion1 | kEventIdx | 0x21;
    rig.start(features);
    CHECK(rig.status() == 15);
    CHECK(rig.core.is_running());
    CHECK(rig.device.accepted == features);
    CHECK(rig.device.starts == 1);
    CHECK(rig.worker.starts == 1);
    CHECK(rig.core.queue(0).is_running());
    CHECK_FALSE(rig.core.queue(1).is_running());
}

TEST_CASE("FEATURES_OK is refused for features that were not offered, and for too few", "[core]") {
    Rig rig;
    const u64 features = GENERATE(u64{0}, kDevice, kVersion1 | kAnyLayout, kVersion1 | u64{1} << 40,
                                  kVersion1 | u64{1} << 63, kVersion1 | 2, ~u64{0});
    rig.negotiate(features);
    CHECK(rig.status() == 3);
    // A driver may try other features.
    rig.core.set_driver_features(kVersion1);
    rig.write(11);
    CHECK(rig.status() == 11);
}

TEST_CASE("a transitional device takes a driver without VERSION_1, a modern one does not", "[core]") {
    Rig modern;
    modern.negotiate(kDevice);
    CHECK(modern.status() == 3);
    Rig transitional(VirtioCore::Kind::Transitional);
    transitional.negotiate(kDevice & 0xffff'ffff);
    CHECK(transitional.status() == 11);
}

TEST_CASE("features written after FEATURES_OK change nothing", "[core]") {
    Rig rig;
    rig.negotiate(kVersion1 | 1);
    rig.core.set_driver_features(kVersion1 | 4);
    CHECK(rig.core.state().driver_features == (kVersion1 | 1));
    rig.write(15);
    rig.core.set_driver_features(0);
    CHECK(rig.device.accepted == (kVersion1 | 1));
    CHECK(rig.core.state().driver_features == (kVersion1 | 1));
}

TEST_CASE("status bits are added, never taken away, and NEEDS_RESET is the device's", "[core]") {
    Rig rig;
    rig.write(kAcknowledge);
    rig.write(kDriver);
    CHECK(rig.status() == 3);
    rig.write(kNeedsReset);
    CHECK(rig.status() == 3);
    rig.write(0x30);  // bits without a meaning
    CHECK(rig.status() == 3);
    rig.write(kFailed);
    CHECK(rig.status() == 131);
    rig.write(kAcknowledge);
    CHECK(rig.status() == 131);
    rig.write(0);
    CHECK(rig.status() == 0);
}

TEST_CASE("all steps in one write count as steps in their order", "[core]") {
    Rig rig;
    rig.core.set_driver_features(kVersion1);
    rig.write(15);
    CHECK(rig.status() == 15);
    CHECK(rig.core.is_running());
    rig.write(15);
    rig.write(kDriverOk);
    CHECK(rig.device.starts == 1);
}

TEST_CASE("DRIVER_OK without FEATURES_OK makes a device that needs a reset, and says so", "[core]") {
    Rig rig;
    rig.write(kAcknowledge | kDriver);
    rig.write(kAcknowledge | kDriver | kDriverOk);
    CHECK(rig.status() == (7 | kNeedsReset));
    CHECK(rig.transport.config_interrupts == 1);
    CHECK(rig.transport.changes == 1);
    CHECK_FALSE(rig.core.is_running());
    CHECK(rig.device.starts == 0);
    rig.write(0);
    CHECK(rig.device.stops == 0);
    rig.start();
    CHECK(rig.status() == 15);
}

TEST_CASE("a refused FEATURES_OK together with DRIVER_OK does not start the device", "[core]") {
    Rig rig;
    rig.core.set_driver_features(0);
    rig.write(15);
    CHECK(rig.status() == (7 | kNeedsReset));
    CHECK(rig.device.starts == 0);
}

TEST_CASE("invalid queues make a device that needs a reset", "[core]") {
    Rig rig;
    const u64 end = rig.ram.low_bytes();
    rig.negotiate();
    rig.set_queue(0, rig.first);
    rig.set_queue(1, rig.second);
    VirtioCore::QueueState& queue = rig.core.queue_state(1);
    SECTION("size 0") { queue.size = 0; }
    SECTION("not a power of two") { queue.size = 12; }
    SECTION("larger than offered") { queue.size = 32; }
    SECTION("descriptors outside RAM") { queue.descriptors = end; }
    SECTION("descriptors that cross the end") { queue.descriptors = end - 16; }
    SECTION("the last address") { queue.descriptors = ~u64{15}; }
    SECTION("descriptors misaligned") { queue.descriptors += 8; }
    SECTION("driver area outside RAM") { queue.driver_area = end - 2; }
    SECTION("driver area misaligned") { queue.driver_area += 1; }
    SECTION("device area outside RAM") { queue.device_area = ~u64{3}; }
    SECTION("device area misaligned") { queue.device_area += 2; }
    rig.write(15);
    CHECK(rig.status() == (15 | kNeedsReset));
    CHECK(rig.transport.config_interrupts == 1);
    CHECK(rig.device.starts == 0);
    CHECK_FALSE(rig.core.queue(0).is_running());
    rig.core.notify(0);
    rig.core.notify(1);
    CHECK(rig.device.processed == 0);
    rig.write(0);
    rig.start();
    CHECK(rig.status() == 15);
}

TEST_CASE("a packed queue's size need not be a power of two", "[core]") {
    Rig rig;
    DriverQueue packed(rig.ram, {.size = 7, .is_packed = true});
    rig.negotiate(kVersion1 | kPacked);
    rig.set_queue(0, packed);
    rig.write(15);
    CHECK(rig.status() == 15);
    packed.add(ChainBuilder().writable(rig.data, 16));
    rig.core.notify(0);
    CHECK(packed.take_used().has_value());
}

TEST_CASE("doorbells count once the driver is ready; earlier buffers are then taken", "[core]") {
    Rig rig;
    rig.negotiate();
    rig.set_queue(0, rig.first);
    const u16 id = rig.first.add(ChainBuilder().writable(rig.data, 16));
    rig.core.notify(0);
    CHECK(rig.device.processed == 0);
    CHECK(rig.worker.doorbells.empty());
    CHECK_FALSE(rig.first.take_used());
    rig.write(15);
    CHECK(rig.first.take_used() == DriverQueue::Used{id, 0});
    CHECK(rig.transport.queue_interrupts == std::vector<u16>{0});
    rig.core.notify(0);
    CHECK(rig.worker.doorbells == std::vector<u16>{0});
    CHECK(rig.core.queue(0).counts.doorbells_trapped == 1);
}

TEST_CASE("a doorbell of a queue that does not exist or was not enabled does nothing", "[core]") {
    Rig rig;
    rig.start();
    for (const u32 queue : {2U, 3U, 0xffffU, 0x10000U, 0xffff'ffffU}) rig.core.notify(queue);
    CHECK(rig.worker.doorbells.empty());
    const int processed = rig.device.processed;
    rig.core.notify(1);
    CHECK(rig.worker.last_progress == Progress::Waiting);
    CHECK(rig.device.processed == processed);
    CHECK(rig.status() == 15);
}

TEST_CASE("a broken ring stops the whole device until a reset", "[core]") {
    Rig rig;
    rig.negotiate();
    rig.set_queue(0, rig.first);
    rig.set_queue(1, rig.second);
    rig.write(15);
    *rig.ram.at<u16>(rig.first.avail_idx_at()) = 100;
    rig.core.notify(0);
    CHECK(rig.status() == (15 | kNeedsReset));
    CHECK(rig.transport.config_interrupts == 1);
    rig.second.add(ChainBuilder().writable(rig.data, 16));
    rig.core.notify(1);
    rig.core.notify(0);
    CHECK_FALSE(rig.second.take_used());
    CHECK(rig.transport.config_interrupts == 1);
    rig.write(0);
    CHECK(rig.status() == 0);
    rig.first.restart();
    rig.start();
    rig.first.add(ChainBuilder().writable(rig.data, 16));
    rig.core.notify(0);
    CHECK(rig.first.take_used());
}

TEST_CASE("configuration changes are announced only while the driver is ready", "[core]") {
    Rig rig;
    const auto generation = rig.core.state().config_generation;
    rig.core.config_changed();
    CHECK(rig.transport.config_interrupts == 0);
    CHECK(rig.transport.changes == 1);
    CHECK(rig.core.state().config_generation != generation);
    rig.start();
    rig.core.config_changed();
    CHECK(rig.transport.config_interrupts == 1);
    rig.write(0);
    rig.core.config_changed();
    CHECK(rig.transport.config_interrupts == 1);
}

TEST_CASE("the configuration's generation survives a reset", "[core]") {
    Rig rig;
    rig.core.config_changed();
    const auto generation = rig.core.state().config_generation;
    rig.start();
    rig.write(0);
    CHECK(rig.core.state().config_generation == generation);
}

TEST_CASE("a reset forgets everything that the driver set", "[core]") {
    Rig rig;
    rig.start(kVersion1 | kEventIdx);
    rig.core.queue_state(1) = {
        .size = 4, .is_enabled = true, .descriptors = 1, .driver_area = 2, .device_area = 3};
    CHECK(rig.write(0));
    CHECK(rig.status() == 0);
    CHECK(rig.core.state().driver_features == 0);
    CHECK(rig.core.queue_state(1).size == 16);
    CHECK_FALSE(rig.core.queue_state(1).is_enabled);
    CHECK(rig.core.queue_state(1).descriptors == 0);
    CHECK(rig.device.stops == 1);
    CHECK(rig.worker.stops == 1);
    CHECK_FALSE(rig.core.queue(0).is_running());
    CHECK(rig.write(0));
    CHECK(rig.device.stops == 1);
}

TEST_CASE("a driver that breaks its device again and again does not fill the log", "[core]") {
    Rig rig;
    const StderrToFile captured;
    for (int i = 0; i < 1000; ++i) {
        rig.write(kDriverOk);
        if (rig.status() != (kDriverOk | kNeedsReset)) break;
        rig.core.fail("again");
        rig.write(0);
    }
    CHECK(rig.transport.config_interrupts == 1000);
    const std::string log = captured.text();
    CHECK(std::count(log.begin(), log.end(), '\n') == 8);
    CHECK(log.find("again") == std::string::npos);
}

TEST_CASE("a device that fails before DRIVER_OK does not interrupt", "[core]") {
    Rig rig;
    rig.write(kAcknowledge);
    rig.core.fail("early");
    CHECK(rig.status() == (kAcknowledge | kNeedsReset));
    CHECK(rig.transport.config_interrupts == 0);
}

TEST_CASE("a legacy driver starts without FEATURES_OK, with the features offered to it", "[core]") {
    Rig rig(VirtioCore::Kind::Transitional);
    rig.core.set_legacy_driver();
    rig.write(kAcknowledge | kDriver);
    rig.core.set_driver_features(0xffff'ffff);
    rig.set_queue(0, rig.first);
    rig.write(7);
    CHECK(rig.status() == 7);
    CHECK(rig.device.accepted == ((kDevice & 0xffff'ffff) | kIndirect | kEventIdx | kAnyLayout));
    rig.write(0);
    CHECK_FALSE(rig.core.state().is_legacy_driver);
}

TEST_CASE("a queue is not set up while the device runs", "[core]") {
    Rig rig;
    CHECK(rig.core.configurable_queue(0) != nullptr);
    rig.negotiate();
    CHECK(rig.core.configurable_queue(0) != nullptr);
    rig.write(15);
    CHECK(rig.core.configurable_queue(0) == nullptr);
}
