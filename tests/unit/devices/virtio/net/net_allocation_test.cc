// SPDX-License-Identifier: Apache-2.0
// Frames, commands and resets allocate nothing. Not built with sanitizers, which have an allocator.
#include <cstring>
#include <memory>

#include <catch2/catch.hpp>

#include "devices/virtio/net/net.h"
#include "tests/support/allocation_count.h"
#include "tests/support/fake_device_host.h"

namespace {

using namespace mayfly;

/// Has a frame of 3000 bytes now and then, and accepts every second one.
class PlainBackend final : public NetBackend {
  public:
    [[nodiscard]] u16 pair_count() const override { return 1; }
    [[nodiscard]] u64 offload_features() const override { return 2; }
    [[nodiscard]] bool configure(u64, u8, u16) override { return true; }
    [[nodiscard]] NetStatus send(u16, std::span<const iovec>) override {
        return ++sends % 2 == 0 ? NetStatus::Wait : NetStatus::Done;
    }
    [[nodiscard]] NetReceived receive(u16, std::span<const iovec>) override {
        if (++receives % 4 == 0) return {NetStatus::Wait};
        return {NetStatus::Done, 3000};
    }
    void set_client(NetClient* told) override { client = told; }

    int sends = 0;
    int receives = 0;
    NetClient* client = nullptr;
};

}  // namespace

TEST_CASE("net: frames, commands, events and resets allocate nothing", "[net]") {
    const bool is_packed = GENERATE(false, true);
    PlainBackend backend;
    Net net({.name = "net0", .packets = {.per_second = 1'000'000'000}}, backend);
    TestRam ram(1 << 20);
    const DriverQueue::Options options{.size = 64, .is_packed = is_packed, .has_event_idx = true};
    FakeDeviceHost host(ram, {options, options, options});
    constexpr u64 kFeatures = u64{1} << 32 | u64{1} << 15 | u64{1} << 17 | u64{1} << 2 | 2;
    const Gpa data = ram.allocate(4096);
    const std::array<std::byte, 10> command{std::byte{5}, std::byte{0}, std::byte{2}};
    const Gpa command_at = ram.place(command);
    for (int i = 0; i < 60; ++i) {
        host.driver(0).add(ChainBuilder().writable(data, 1536));
        host.driver(1).add(ChainBuilder().readable(data, 100));
    }
    for (int i = 0; i < 20; ++i) {
        host.driver(2).add(ChainBuilder().readable(command_at, 10).writable(data, 1));
    }
    const u64 before = allocations_so_far();
    net.start(kFeatures, host);
    for (int i = 0; i < 30; ++i) {
        for (u16 queue = 0; queue < 3; ++queue) {
            static_cast<void>(net.process(queue, 3));
            static_cast<void>(host.queue(queue).publish());
        }
        backend.client->on_net_readable(0);
        backend.client->on_net_writable(0);
        backend.client->on_net_link(i % 2 == 0);
    }
    net.stop();
    net.start(kFeatures, host);
    CHECK(allocations_so_far() == before);
    net.stop();
    CHECK(net.counts().received >= 20);
    CHECK(net.counts().sent >= 15);
    CHECK(*ram.at<u8>(data) == 0);
    const auto counted = std::make_unique<int>(0);
    CHECK(allocations_so_far() > before);
}
