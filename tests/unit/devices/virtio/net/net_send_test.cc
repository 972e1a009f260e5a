// SPDX-License-Identifier: Apache-2.0
// Frames from the driver to a backend, and a hostile driver's invalid ones.
#include "tests/unit/devices/virtio/net/net_rig.h"

namespace {

using namespace mayfly;

u64 g_now_ns;
u64 test_clock() { return g_now_ns; }

u16 give_frame(NetRig& rig, u32 size_bytes, u16 queue = 1) {
    const Gpa at = rig.ram.place(NetRig::frame(12, size_bytes));
    return rig.host->driver(queue).add(ChainBuilder().readable(at, 12 + size_bytes));
}

}  // namespace

TEST_CASE("net: frames are sent in order, with their header, however they are cut", "[net]") {
    const bool is_packed = GENERATE(false, true);
    NetRig rig(kVersion1, {}, NetRig::default_backend(),
               {.size = 64, .is_packed = is_packed, .has_indirect = true});
    const FakeNetBackend::Bytes bytes = NetRig::frame(12, 100);
    const Gpa at = rig.ram.place(bytes);
    const u16 first = rig.send_driver().add(ChainBuilder().readable(at, 112));
    const u16 second = rig.send_driver().add(
        ChainBuilder().readable(at, 5).readable(at + 5, 10).readable(at + 15, 97).indirect(rig.ram));
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(rig.backend.sent == std::vector{bytes, bytes});
    CHECK(rig.send_driver().take_used() == DriverQueue::Used{first, 0});
    CHECK(rig.send_driver().take_used() == DriverQueue::Used{second, 0});
    CHECK(rig.net->counts().sent == 2);
    CHECK(rig.host->queue(1).counts.bytes == 200);
    CHECK(rig.host->queue(1).counts.requests == 2);
}

TEST_CASE("net: a frame that the backend has no room for is kept and sent later, once", "[net]") {
    const bool is_packed = GENERATE(false, true);
    NetRig rig(kVersion1, {}, NetRig::default_backend(), {.size = 64, .is_packed = is_packed});
    rig.backend.send_status = NetStatus::Wait;
    give_frame(rig, 100);
    give_frame(rig, 101);
    for (int i = 0; i < 5; ++i) CHECK(rig.run(1) == Progress::Waiting);
    CHECK_FALSE(rig.send_driver().take_used());
    CHECK(rig.backend.sends == 5);
    rig.backend.send_status = NetStatus::Done;
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(rig.backend.sent.size() == 2);
    CHECK(rig.backend.sent[0].size() == 112);
    CHECK(rig.net->counts().sent == 2);
    CHECK(rig.net->counts().send_dropped == 0);
}

TEST_CASE("net: a frame that cannot be sent is dropped and counted, and its chain comes back", "[net]") {
    const NetStatus status = GENERATE(NetStatus::Dropped, NetStatus::Down);
    NetRig rig(kVersion1);
    rig.backend.send_status = status;
    for (int i = 0; i < 3; ++i) give_frame(rig, 60);
    CHECK(rig.run(1) == Progress::Drained);
    for (int i = 0; i < 3; ++i) CHECK(rig.send_driver().take_used());
    CHECK(rig.net->counts().send_dropped == 3);
    CHECK(rig.net->counts().sent == 0);
}

TEST_CASE("net: a frame above the limit is dropped before it reaches the backend", "[net]") {
    NetRig rig(kVersion1);
    give_frame(rig, 65536 + 18);
    give_frame(rig, 65536 + 19);
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(rig.backend.sends == 1);
    CHECK(rig.net->counts().send_dropped == 1);
}

TEST_CASE("net: a budget bounds the chains of one call", "[net]") {
    NetRig rig(kVersion1);
    for (int i = 0; i < 10; ++i) give_frame(rig, 60);
    CHECK(rig.run(1, 4) == Progress::More);
    CHECK(rig.backend.sends == 4);
    CHECK(rig.run(1, 64) == Progress::Drained);
    CHECK(rig.backend.sends == 10);
}

TEST_CASE("net: sending is limited in packets, and nothing is lost by waiting", "[net]") {
    g_now_ns = 5'000'000'000;
    NetRig rig(kVersion1, {.bytes = {}, .packets = {.per_second = 100, .burst = 2}, .now_ns = test_clock});
    for (int i = 0; i < 4; ++i) give_frame(rig, 60);
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.net->counts().sent == 2);
    CHECK(rig.host->timers.back() == FakeDeviceHost::Timer{1, 5'010'000'000});
    // Asking again does not bring it nearer.
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.host->timers.back() == FakeDeviceHost::Timer{1, 5'010'000'000});
    g_now_ns = 5'010'000'000;
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.net->counts().sent == 3);
    g_now_ns = 6'000'000'000;
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(rig.net->counts().sent == 4);
    CHECK(rig.net->counts().send_dropped == 0);
}

TEST_CASE("net: a reset does not refill a limit", "[net]") {
    g_now_ns = 5'000'000'000;
    NetRig rig(kVersion1, {.bytes = {}, .packets = {.per_second = 100, .burst = 1}, .now_ns = test_clock});
    give_frame(rig, 60);
    give_frame(rig, 60);
    CHECK(rig.run(1) == Progress::Waiting);
    rig.net->stop();
    rig.net->start(kVersion1, *rig.host);
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.net->counts().sent == 1);
}

TEST_CASE("net: a chain to send that is shorter than a header, or writable, fails the device", "[net]") {
    NetRig rig(kVersion1);
    const Gpa at = rig.ram.allocate(100);
    if (GENERATE(true, false))
        rig.send_driver().add(ChainBuilder().readable(at, 11));
    else
        rig.send_driver().add(ChainBuilder().readable(at, 60).writable(at, 40));
    give_frame(rig, 60);
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.host->failures.size() == 1);
    CHECK(rig.backend.sends == 0);
}

TEST_CASE("net: a receive buffer that is short, readable or both fails the device", "[net]") {
    const u64 features = GENERATE(as<u64>{}, kVersion1, kVersion1 | kMergedBuffers);
    NetRig rig(features);
    const Gpa at = rig.ram.allocate(4000);
    const int which = GENERATE(0, 1, 2);
    CAPTURE(features, which);
    switch (which) {
        case 0: rig.receive_driver().add(ChainBuilder().writable(at, 11)); break;
        case 1: rig.receive_driver().add(ChainBuilder().readable(at, 2000)); break;
        default: rig.receive_driver().add(ChainBuilder().readable(at, 20).writable(at, 2000)); break;
    }
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    CHECK(rig.run(0) == Progress::Waiting);
    CHECK(rig.run(0) == Progress::Waiting);
    CHECK(rig.host->failures.size() == 1);
    CHECK(rig.backend.receives == 0);
    CHECK(rig.run(1) == Progress::Waiting);
}

TEST_CASE("net: a ring that breaks the rules fails the device and touches nothing", "[net]") {
    const u16 queue = GENERATE(u16{0}, u16{1}, u16{2});
    NetRig rig(kVersion1 | kMergedBuffers | kControlQueue);
    DriverQueue& driver = rig.host->driver(queue);
    constexpr u16 kNext = 1;
    constexpr u16 kWrite = 2;
    const u16 write = queue == 0 ? kWrite : 0;
    switch (GENERATE(0, 1, 2, 3, 4)) {
        case 0: driver.write_descriptor(0, ~u64{0}, 4096, write, 0); break;
        case 1: driver.write_descriptor(0, (4 << 20) - 1, 4096, write, 0); break;
        case 2: driver.write_descriptor(0, 0x1000, 4096, write | kNext, 0); break;
        case 3: driver.write_descriptor(0, 0x1000, 4096, write | kNext, 999); break;
        default: driver.write_descriptor(0, 0x1000, 0xffff'ffff, write, 0); break;
    }
    *rig.ram.at<u16>(driver.avail_entry_at(0)) = 0;
    *rig.ram.at<u16>(driver.avail_idx_at()) = 1;
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    const auto before = rig.ram.bytes(Gpa{0}, rig.ram.low_bytes());
    CHECK(rig.run(queue) == Progress::Waiting);
    CHECK(rig.host->failures.size() == 1);
    CHECK(rig.backend.receives == 0);
    CHECK(rig.backend.sends == 0);
    CHECK((rig.ram.bytes(Gpa{0}, rig.ram.low_bytes()) == before));
}

TEST_CASE("net: an index beyond the ring's size fails the device", "[net]") {
    NetRig rig(kVersion1);
    *rig.ram.at<u16>(rig.send_driver().avail_idx_at()) = 65;
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(rig.host->failures.size() == 1);
    CHECK(rig.backend.sends == 0);
}
