// SPDX-License-Identifier: Apache-2.0
#include "devices/io/bus.h"

#include <thread>
#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

class Recorder final : public IoDevice {
  public:
    [[nodiscard]] std::string_view name() const override { return "recorder"; }
    [[nodiscard]] u64 io_read(IoAccess at) override {
        last = at;
        return answer;
    }
    void io_write(IoAccess at, u64 value) override {
        last = at;
        last_value = value;
        ++writes;
    }
    void reset() override {}

    IoAccess last{0, 0};
    u64 answer = 0;
    u64 last_value = 0;
    u64 writes = 0;
};

}  // namespace

TEST_CASE("an unmapped address reads all ones and swallows writes", "[bus]") {
    Bus bus;
    bus.write(0x80, 1, 1);
    CHECK(bus.read(0x80, 1) == 0xff);
    CHECK(bus.read(0x80, 2) == 0xffff);
    CHECK(bus.read(0x80, 4) == 0xffffffff);
    CHECK(bus.read(0xffffffffffffffff, 8) == 0xffffffffffffffff);
    CHECK(bus.name_at(0x80).empty());
}

TEST_CASE("a device sees offsets from the base it was mapped at", "[bus]") {
    Bus bus;
    Recorder device;
    bus.map(0x3f8, 8, device);
    bus.write(0x3ff, 1, 0x5a);
    CHECK(device.last.offset_bytes == 7);
    CHECK(device.last.size_bytes == 1);
    CHECK(device.last_value == 0x5a);
    CHECK(bus.name_at(0x3f8) == "recorder");
    CHECK(bus.name_at(0x3ff) == "recorder");
    CHECK(bus.name_at(0x400).empty());
    CHECK(bus.name_at(0x3f7).empty());
}

TEST_CASE("one device mapped twice tells its ranges apart by the offset base", "[bus]") {
    Bus bus;
    Recorder device;
    bus.map(0xa0, 2, device, 2);
    bus.map(0x20, 2, device, 0);
    (void)bus.read(0xa1, 1);
    CHECK(device.last.offset_bytes == 3);
    (void)bus.read(0x21, 1);
    CHECK(device.last.offset_bytes == 1);
}

TEST_CASE("an access across a device's edge reaches no device", "[bus]") {
    Bus bus;
    Recorder left;
    Recorder right;
    bus.map(0x10, 4, left);
    bus.map(0x14, 4, right);
    bus.write(0x13, 2, 0xffff);
    bus.write(0x0f, 2, 0xffff);
    bus.write(0x16, 4, 0xffff);
    CHECK(bus.read(0x12, 4) == 0xffffffff);
    CHECK(left.writes == 0);
    CHECK(right.writes == 0);
    bus.write(0x14, 4, 1);
    CHECK(right.writes == 1);
}

TEST_CASE("values are cut to the size of the access in both directions", "[bus]") {
    Bus bus;
    Recorder device;
    device.answer = 0x1122334455667788;
    bus.map(0, 8, device);
    CHECK(bus.read(0, 1) == 0x88);
    CHECK(bus.read(0, 2) == 0x7788);
    CHECK(bus.read(0, 4) == 0x55667788);
    CHECK(bus.read(0, 8) == 0x1122334455667788);
    bus.write(0, 2, 0xabcdef);
    CHECK(device.last_value == 0xcdef);
}

TEST_CASE("a range may end at the last address", "[bus]") {
    Bus bus;
    Recorder device;
    bus.map(0xfffffffffffffff0, 16, device);
    bus.write(0xffffffffffffffff, 1, 1);
    CHECK(device.last.offset_bytes == 15);
    bus.write(0xfffffffffffffffc, 8, 1);
    CHECK(device.writes == 1);
}

TEST_CASE("a range is free when it touches no device, wraps nowhere and is not empty", "[bus]") {
    Bus bus;
    Recorder device;
    bus.map(0x100, 0x10, device);
    CHECK(bus.is_free(0xff, 1));
    CHECK(bus.is_free(0x110, 4));
    CHECK_FALSE(bus.is_free(0xff, 2));
    CHECK_FALSE(bus.is_free(0x10f, 1));
    CHECK_FALSE(bus.is_free(0x80, 0x100));
    CHECK_FALSE(bus.is_free(0x200, 0));
    CHECK(bus.is_free(0xffffffffffffffff, 1));
    CHECK_FALSE(bus.is_free(0xffffffffffffffff, 2));
}

TEST_CASE("devices are found whatever the order they were mapped in", "[bus]") {
    Bus bus;
    Recorder high;
    Recorder low;
    Recorder middle;
    bus.map(0x300, 1, high);
    bus.map(0x100, 1, low);
    bus.map(0x200, 1, middle);
    bus.write(0x100, 1, 1);
    bus.write(0x200, 1, 2);
    bus.write(0x300, 1, 3);
    CHECK(low.last_value == 1);
    CHECK(middle.last_value == 2);
    CHECK(high.last_value == 3);
}

TEST_CASE("accesses to one device are serialised, also against the holder of its lock", "[bus]") {
    Bus bus;
    Recorder device;
    bus.map(0x10, 1, device);
    bus.map(0x20, 1, device);
    std::vector<std::thread> threads;
    for (const u64 address : {u64{0x10}, u64{0x20}}) {
        threads.emplace_back([&bus, address] {
            for (int i = 0; i < 5000; ++i) bus.write(address, 1, 0);
        });
    }
    for (int i = 0; i < 5000; ++i) {
        const Lock guard(bus.mutex_of(device));
        ++device.writes;
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(device.writes == 15000);
}
