// SPDX-License-Identifier: Apache-2.0
// Frames from a backend to the driver's buffers.
#include "tests/unit/devices/virtio/net/net_rig.h"

namespace {

using namespace mayfly;

u64 g_now_ns;
u64 test_clock() { return g_now_ns; }

DriverQueue::Options any_ring() {
    return {.size = 64, .is_packed = GENERATE(false, true), .has_event_idx = GENERATE(false, true)};
}

}  // namespace

TEST_CASE("net: a frame arrives behind a header of 12 bytes that says one buffer", "[net]") {
    NetRig rig(kVersion1, {}, NetRig::default_backend(), any_ring());
    const Gpa at = rig.give_buffer(1526);
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    CHECK(rig.run(0) == Progress::Drained);
    const auto used = rig.receive_driver().take_used();
    REQUIRE(used);
    CHECK(used->written_bytes == 72);
    CHECK(*rig.ram.at<u16>(at + 10) == 1);
    CHECK(*rig.ram.at<u8>(at + 12) == 1);
    CHECK(*rig.ram.at<u8>(at + 71) == 60);
    CHECK(*rig.ram.at<u8>(at + 72) == 0xee);
    CHECK(rig.last_interrupt);
    CHECK(rig.net->counts().received == 1);
    CHECK(rig.host->queue(0).counts.bytes == 60);
    CHECK(rig.backend.configured.back() == FakeNetBackend::Configured{kVersion1, 12, 1});
}

TEST_CASE("net: a legacy driver without merged buffers gets a header of 10 bytes", "[net]") {
    NetRig rig(0);
    const Gpa at = rig.give_buffer(1524);
    rig.backend.waiting.push_back(NetRig::frame(10, 60));
    CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.receive_driver().take_used()->written_bytes == 70);
    CHECK(*rig.ram.at<u8>(at + 10) == 1);
    CHECK(rig.backend.configured.back() == FakeNetBackend::Configured{0, 10, 1});
}

TEST_CASE("net: a legacy driver with merged buffers gets a header of 12 bytes", "[net]") {
    NetRig rig(kMergedBuffers);
    CHECK(rig.backend.configured.back() == FakeNetBackend::Configured{kMergedBuffers, 12, 1});
}

TEST_CASE("net: a large frame is spread over as many merged buffers as it needs, and no more", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers, {}, NetRig::default_backend(), any_ring());
    std::vector<Gpa> at;
    for (int i = 0; i < 60; ++i) at.push_back(rig.give_buffer(1536));
    rig.backend.waiting.push_back(NetRig::frame(12, 4000));
    rig.backend.waiting.push_back(NetRig::frame(12, 100, 7));
    CHECK(rig.run(0) == Progress::Waiting);
    // 4012 = 1536 + 1536 + 940
    CHECK(rig.receive_driver().take_used()->written_bytes == 1536);
    CHECK(rig.receive_driver().take_used()->written_bytes == 1536);
    CHECK(rig.receive_driver().take_used()->written_bytes == 940);
    CHECK(*rig.ram.at<u16>(at[0] + 10) == 3);
    CHECK(*rig.ram.at<u8>(at[2] + 939) == 1 + 3999 % 251);
    CHECK(*rig.ram.at<u8>(at[2] + 940) == 0xee);
    // The next one begins in the next buffer.
    CHECK(rig.receive_driver().take_used()->written_bytes == 112);
    CHECK(*rig.ram.at<u16>(at[3] + 10) == 1);
    CHECK(*rig.ram.at<u8>(at[3] + 12) == 7);
    CHECK_FALSE(rig.receive_driver().take_used());
    CHECK(rig.net->counts().received == 2);
    CHECK(rig.net->counts().receive_dropped == 0);
}

TEST_CASE("net: the largest frame finds room whatever was received before it", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers);
    u32 received = 0;
    for (int round = 0; round < 40; ++round) {
        while (rig.receive_driver().room() > 0) {
            rig.receive_driver().add(ChainBuilder().writable(Gpa{0x100000 + 0x1000}, 1536));
        }
        rig.backend.waiting.push_back(NetRig::frame(12, 60));
        rig.backend.waiting.push_back(NetRig::frame(12, 65550));
        CHECK(rig.run(0) == Progress::Waiting);
        CHECK(rig.backend.room_bytes >= 12 + 65550);
        while (rig.receive_driver().take_used()) ++received;
    }
    // 1 and ceil(65562 / 1536) = 43 buffers each round.
    CHECK(received == 40 * 44);
    CHECK(rig.net->counts().receive_dropped == 0);
}

TEST_CASE("net: nothing is read from the backend while the driver has no buffers", "[net]") {
    const u64 features = GENERATE(as<u64>{}, kVersion1, kVersion1 | kMergedBuffers);
    NetRig rig(features);
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    for (int i = 0; i < 10; ++i) CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.backend.receives == 0);
    rig.give_buffer(1526);
    CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.backend.receives == 1);
    CHECK(rig.net->counts().receive_dropped == 0);
}

TEST_CASE("net: a frame larger than the driver's buffer is dropped and counted, the buffer serves the next",
          "[net]") {
    NetRig rig(kVersion1);
    rig.give_buffer(200);
    rig.backend.waiting.push_back(NetRig::frame(12, 189));
    rig.backend.waiting.push_back(NetRig::frame(12, 188));
    CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.receive_driver().take_used()->written_bytes == 200);
    CHECK(rig.net->counts().receive_dropped == 1);
    CHECK(rig.net->counts().received == 1);
}

TEST_CASE("net: a budget bounds the frames of one call", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers);
    for (int i = 0; i < 60; ++i) rig.give_buffer(1526);
    for (int i = 0; i < 10; ++i) rig.backend.waiting.push_back(NetRig::frame(12, 60));
    CHECK(rig.run(0, 4) == Progress::More);
    CHECK(rig.net->counts().received == 4);
    CHECK(rig.run(0, 100) == Progress::Waiting);
    CHECK(rig.net->counts().received == 10);
}

TEST_CASE("net: the header may be split over descriptors at any place", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers);
    const u32 cut = GENERATE(1U, 9U, 10U, 11U, 12U, 13U);
    const Gpa at = rig.ram.allocate(200);
    rig.receive_driver().add(ChainBuilder().writable(at, cut).writable(at + cut, 200 - cut));
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.receive_driver().take_used()->written_bytes == 72);
    CHECK(*rig.ram.at<u16>(at + 10) == 1);
    CHECK(*rig.ram.at<u8>(at + 71) == 60);
}

TEST_CASE("net: a receive buffer of many small indirect parts works", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers, {}, NetRig::default_backend(), {.size = 64, .has_indirect = true});
    const Gpa at = rig.ram.allocate(64 * 20);
    ChainBuilder chain;
    for (u32 i = 0; i < 64; ++i) chain.writable(at + u64{20} * i, 20);
    rig.receive_driver().add(chain.indirect(rig.ram));
    rig.backend.waiting.push_back(NetRig::frame(12, 1000));
    CHECK(rig.run(0) == Progress::Drained);
    CHECK(rig.receive_driver().take_used()->written_bytes == 1012);
    CHECK(*rig.ram.at<u8>(at + 1011) == 1 + 999 % 251);
}

TEST_CASE("net: a readable event runs the pair's receive queue", "[net]") {
    NetRig rig(kVersion1);
    const int before = rig.host->runs_again[0];
    rig.backend.client->on_net_readable(0);
    CHECK(rig.host->runs_again[0] == before + 1);
    rig.backend.client->on_net_writable(0);
    CHECK(rig.host->runs_again[1] == 1);
    rig.net->stop();
    rig.backend.client->on_net_readable(0);
    rig.backend.client->on_net_writable(0);
    rig.backend.client->on_net_link(true);
    CHECK(rig.host->runs_again[0] == before + 1);
}

TEST_CASE("net: receiving is limited in packets and bytes, and goes on by itself", "[net]") {
    g_now_ns = 1'000'000'000;
    NetRig rig(kVersion1 | kMergedBuffers,
               {.bytes = {.per_second = 100'000, .burst = 1000}, .packets = {}, .now_ns = test_clock});
    for (int i = 0; i < 60; ++i) rig.give_buffer(1536);
    for (int i = 0; i < 3; ++i) rig.backend.waiting.push_back(NetRig::frame(12, 1200));
    // The first takes 1200 of 1000: 200 and the one byte asked for take 2.01 ms.
    CHECK(rig.run(0) == Progress::Waiting);
    CHECK(rig.net->counts().received == 1);
    REQUIRE(rig.host->timers.size() == 1);
    CHECK(rig.host->timers[0] == FakeDeviceHost::Timer{0, 1'002'010'000});
    g_now_ns = rig.host->timers[0].deadline_ns;
    CHECK(rig.run(0) == Progress::Waiting);
    CHECK(rig.net->counts().received == 2);
}

TEST_CASE("net: a reset forgets the buffers that were held, and a new driver's are used", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers);
    const Gpa old = rig.give_buffer(1536);
    CHECK(rig.run(0) == Progress::Waiting);
    CHECK(rig.net->in_flight() == 0);
    rig.net->stop();
    TestRam ram(1 << 20);
    FakeDeviceHost host(ram, {{.size = 8}, {.size = 8}, {.size = 8}});
    rig.net->start(kVersion1 | kMergedBuffers, host);
    rig.backend.waiting.push_back(NetRig::frame(12, 60));
    CHECK(rig.net->process(0, 8) == Progress::Drained);
    const Gpa at = ram.allocate(1536);
    host.driver(0).add(ChainBuilder().writable(at, 1536));
    CHECK(rig.net->process(0, 8) == Progress::Drained);
    CHECK(host.queue(0).publish());
    CHECK(host.driver(0).take_used()->written_bytes == 72);
    CHECK(*rig.ram.at<u8>(old + 12) == 0xee);
    rig.net->stop();
}

TEST_CASE("net: buffers that were taken and not used go back to the ring", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers, {}, NetRig::default_backend(), any_ring());
    const Gpa first = rig.give_buffer(1536);
    const Gpa second = rig.give_buffer(1536);
    CHECK(rig.run(0) != Progress::More);
    CHECK_FALSE(rig.host->queue(0).has_work());  // taken, for the largest possible frame
    rig.net->give_back();
    CHECK(rig.host->queue(0).has_work());
    rig.backend.waiting.push_back(NetRig::frame(12, 2000));
    CHECK(rig.run(0) != Progress::More);
    CHECK(rig.receive_driver().take_used()->written_bytes == 1536);
    CHECK(rig.receive_driver().take_used()->written_bytes == 12 + 2000 - 1536);
    CHECK(*rig.ram.at<u8>(first + 12) == 1);
    CHECK(*rig.ram.at<u8>(second) == 1 + (1536 - 12) % 251);
}
