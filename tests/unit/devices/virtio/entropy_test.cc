// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/entropy.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_device_host.h"

namespace {

using namespace mayfly;

class FakeSource final : public EntropySource {
  public:
    bool fill(std::span<const iovec> parts) override {
        for (const iovec& part : parts) {
            if (is_dry) return false;
            std::memset(part.iov_base, 0xa5, part.iov_len);
            given += part.iov_len;
        }
        return true;
    }

    bool is_dry = false;
    u64 given = 0;
};

struct Rig {
    explicit Rig(u16 size = 64) : host(ram, {{.size = size, .has_indirect = true}}) { device.start(0, host); }

    TestRam ram{u64{1} << 18};
    FakeDeviceHost host;
    FakeSource source;
    Entropy device{"rng0", source};
};

TEST_CASE("the entropy device identifies itself", "[entropy]") {
    FakeSource source;
    Entropy device("rng0", source);
    REQUIRE(device.name() == "rng0");
    REQUIRE(device.device_id() == 4);
    REQUIRE(device.features() == 0);
    REQUIRE(device.queue_sizes().size() == 1);
    REQUIRE(device.config().empty());
    REQUIRE(device.in_flight() == 0);
}

TEST_CASE("every writable part of a request is filled", "[entropy]") {
    Rig it;
    const Gpa first = it.ram.allocate(16);
    const Gpa second = it.ram.allocate(16);
    const u16 id = it.host.driver(0).add(ChainBuilder().writable(first, 5).writable(second, 7));
    REQUIRE(it.device.process(0, 8) == Progress::Drained);
    REQUIRE(it.host.queue(0).publish());
    REQUIRE(it.host.driver(0).take_used() == DriverQueue::Used{id, 12});
    REQUIRE(it.ram.text(first, 6) == std::string(5, '\xa5') + '\0');
    REQUIRE(it.ram.text(second, 8) == std::string(7, '\xa5') + '\0');
    REQUIRE(it.host.queue(0).counts.bytes == 12);
}

TEST_CASE("a request gets at most 64 KiB, and so does a call", "[entropy]") {
    Rig it;
    const Gpa big = it.ram.allocate(100'000);
    it.host.driver(0).add(ChainBuilder().writable(big, 100'000));
    it.host.driver(0).add(ChainBuilder().writable(big, 10));
    REQUIRE(it.device.process(0, 8) == Progress::More);
    REQUIRE(it.host.queue(0).publish());
    REQUIRE(it.host.driver(0).take_used()->written_bytes == 65536);
    REQUIRE_FALSE(it.host.driver(0).take_used());
    REQUIRE(*it.ram.at<u8>(big + 65535) == 0xa5);
    REQUIRE(*it.ram.at<u8>(big + 65536) == 0);
    REQUIRE(it.device.process(0, 8) == Progress::Drained);
    REQUIRE(it.host.queue(0).publish());
    REQUIRE(it.host.driver(0).take_used()->written_bytes == 10);
}

TEST_CASE("requests are counted against the budget", "[entropy]") {
    Rig it;
    for (int i = 0; i < 3; ++i) it.host.driver(0).add(ChainBuilder().writable(Gpa{0x100}, 1));
    REQUIRE(it.device.process(0, 2) == Progress::More);
    REQUIRE(it.source.given == 2);
    REQUIRE(it.device.process(0, 2) == Progress::Drained);
    REQUIRE(it.source.given == 3);
}

TEST_CASE("readable parts are left alone, and a request without writable ones gets nothing", "[entropy]") {
    Rig it;
    const Gpa readable = it.ram.place("secret");
    it.host.driver(0).add(ChainBuilder().readable(readable, 6));
    it.host.driver(0).add(ChainBuilder().readable(readable, 6).writable(Gpa{0x100}, 4));
    REQUIRE(it.device.process(0, 8) == Progress::Drained);
    REQUIRE(it.host.queue(0).publish());
    REQUIRE(it.host.driver(0).take_used()->written_bytes == 0);
    REQUIRE(it.host.driver(0).take_used()->written_bytes == 4);
    REQUIRE(it.ram.text(readable, 6) == "secret");
}

TEST_CASE("a driver reads a length of 0 when the host has no entropy", "[entropy]") {
    Rig it;
    it.source.is_dry = true;
    it.host.driver(0).add(ChainBuilder().writable(Gpa{0x100}, 4));
    REQUIRE(it.device.process(0, 8) == Progress::Drained);
    REQUIRE(it.host.queue(0).publish());
    REQUIRE(it.host.driver(0).take_used()->written_bytes == 0);
    REQUIRE(it.host.queue(0).counts.bytes == 0);
}

TEST_CASE("a broken entropy queue, a stopped device and another queue are not worked on", "[entropy]") {
    Rig it;
    it.host.driver(0).write_one(Gpa{0x100}, 0, true);
    it.host.driver(0).show();
    REQUIRE(it.device.process(1, 8) == Progress::Waiting);
    REQUIRE_FALSE(it.host.queue(0).is_broken());
    REQUIRE(it.device.process(0, 8) == Progress::Waiting);
    REQUIRE(it.host.queue(0).is_broken());
    it.device.stop();
    REQUIRE(it.device.process(0, 8) == Progress::Waiting);
    REQUIRE(it.source.given == 0);
}

}  // namespace
