// SPDX-License-Identifier: Apache-2.0
// Features, configuration space, link status and the control queue.
#include "tests/unit/devices/virtio/net/net_rig.h"

namespace {

using namespace mayfly;

constexpr u64 kGuestCsum = bit(1);
constexpr u64 kGuestTso4 = bit(7);
constexpr u64 kControlOffloads = bit(2);
constexpr u64 kControlMac = bit(23);

u16 config_u16(const Net& net, std::size_t offset) {
    u16 value = 0;
    std::memcpy(&value, net.config().data() + offset, sizeof(value));
    return value;
}

template <typename T>
std::span<const std::byte> bytes_of(const T& value) {
    return std::as_bytes(std::span(&value, 1));
}

struct TwoPairs : FakeNetBackend {
    TwoPairs() {
        pairs = 2;
        offloads = kGuestCsum | kGuestTso4;
    }
};

}  // namespace

TEST_CASE("net: it offers its own features and the backend's", "[net]") {
    FakeNetBackend backend;
    const NetOptions plain{.name = "net0"};
    // MAC, MRG_RXBUF, STATUS, CTRL_VQ, CTRL_MAC_ADDR.
    const u64 always = bit(5) | bit(15) | bit(16) | bit(17) | bit(23);
    CHECK(Net(plain, backend).features() == always);
    CHECK(Net({.name = "net0", .mtu = 1400}, backend).features() == (always | bit(3)));
    // CSUM, HOST_TSO4, HOST_USO; and a bit that does not concern the backend.
    backend.offloads = bit(0) | bit(11) | bit(56) | bit(57);
    CHECK(Net(plain, backend).features() == (always | bit(0) | bit(11) | bit(56)));
    backend.offloads = kGuestCsum;
    CHECK(Net(plain, backend).features() == (always | kGuestCsum | kControlOffloads));
    backend.offloads = 0;
    backend.pairs = 2;
    CHECK(Net(plain, backend).features() == (always | kMultiQueue));
    CHECK(Net(plain, backend).device_id() == 1);
}

TEST_CASE("net: the configuration holds MAC, status, pairs and MTU", "[net]") {
    NetRig rig(kVersion1, {.mtu = 1400});
    REQUIRE(rig.net->config().size() == 12);
    CHECK(rig.net->config()[0] == std::byte{0x52});
    CHECK(rig.net->config()[5] == std::byte{3});
    CHECK(config_u16(*rig.net, 6) == 1);
    CHECK(config_u16(*rig.net, 8) == 1);
    CHECK(config_u16(*rig.net, 10) == 1400);
}

TEST_CASE("net: queues are a pair each and one for control", "[net]") {
    TwoPairs backend;
    const Net net({.name = "net0", .queue_size = 128}, backend);
    CHECK(std::vector<u16>(net.queue_sizes().begin(), net.queue_sizes().end()) ==
          std::vector<u16>{128, 128, 128, 128, 64});
    CHECK(net.needs_io_thread());
}

TEST_CASE("net: a driver's write to the configuration is ignored, except for a legacy driver's MAC",
          "[net]") {
    const std::array<std::byte, 8> bytes{std::byte{0xaa}, std::byte{0xbb}, std::byte{0xcc}, std::byte{0xdd},
                                         std::byte{0xee}, std::byte{0xff}, std::byte{0x11}, std::byte{0x22}};
    {
        NetRig rig(kVersion1);
        rig.net->write_config(0, bytes);
        CHECK(rig.net->config()[0] == std::byte{0x52});
    }
    NetRig rig(0);
    rig.net->write_config(1, bytes);
    CHECK(rig.net->config()[0] == std::byte{0x52});
    CHECK(rig.net->config()[1] == std::byte{0xaa});
    CHECK(rig.net->config()[5] == std::byte{0xee});
    CHECK(config_u16(*rig.net, 6) == 1);
    rig.net->write_config(0xffff'ffff, bytes);
    CHECK(rig.net->config()[0] == std::byte{0x52});
    rig.net->stop();
    CHECK(rig.net->config()[1] == std::byte{0x54});
    rig.net->start(0, *rig.host);
}

TEST_CASE("net: a lost link shows in the configuration, once, and frames are released", "[net]") {
    NetRig rig(kVersion1);
    rig.backend.client->on_net_link(false);
    CHECK(config_u16(*rig.net, 6) == 0);
    CHECK(rig.host->config_changes == 1);
    rig.backend.client->on_net_link(false);
    CHECK(rig.host->config_changes == 1);
    rig.backend.client->on_net_link(true);
    CHECK(config_u16(*rig.net, 6) == 1);
    CHECK(rig.host->config_changes == 2);
}

TEST_CASE("net: a link that was lost before the driver started is shown to the driver", "[net]") {
    NetRig rig(kVersion1);
    rig.net->stop();
    rig.backend.client->on_net_link(false);
    rig.net->start(kVersion1, *rig.host);
    CHECK(config_u16(*rig.net, 6) == 0);
    CHECK(rig.host->config_changes == 1);
}

TEST_CASE("net: offloads that the host refuses take the link down", "[net]") {
    FakeNetBackend backend;
    backend.accepts = false;
    NetRig rig(kVersion1, {}, backend);
    CHECK(config_u16(*rig.net, 6) == 0);
    CHECK(rig.host->config_changes == 1);
    const Gpa at = rig.ram.place(NetRig::frame(12, 60));
    rig.send_driver().add(ChainBuilder().readable(at, 72));
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(backend.sends == 0);
    CHECK(rig.net->counts().send_dropped == 1);
}

TEST_CASE("net: a driver that keeps resetting configures the host no more often than one with commands",
          "[net]") {
    static u64 now_ns;
    now_ns = 1'000'000'000;
    FakeNetBackend backend;
    NetRig rig(kVersion1, {.now_ns = [] { return now_ns; }}, backend);
    const auto restart = [&] {
        rig.net->stop();
        rig.net->start(kVersion1, *rig.host);
    };
    for (int i = 0; i < 1000; ++i) restart();
    CHECK(backend.configured.size() == 64);
    // Until its time has come no frame leaves, and none is lost.
    const Gpa at = rig.ram.place(NetRig::frame(12, 60));
    rig.send_driver().add(ChainBuilder().readable(at, 72));
    CHECK(rig.run(1) == Progress::Waiting);
    CHECK(backend.sends == 0);
    REQUIRE(rig.host->timers.size() == 1);
    CHECK(rig.host->timers[0].queue == 1);
    now_ns = rig.host->timers[0].deadline_ns;
    CHECK(now_ns == 1'050'000'000);
    CHECK(rig.run(1) == Progress::Drained);
    CHECK(backend.configured.size() == 65);
    CHECK(backend.sends == 1);
    for (int i = 0; i < 1000; ++i) restart();
    CHECK(backend.configured.size() == 65);
}

TEST_CASE("net: one pair is in use until the driver asks for more", "[net]") {
    TwoPairs backend;
    NetRig rig(kVersion1 | kControlQueue | kMultiQueue, {}, backend);
    const Gpa at = rig.ram.place(NetRig::frame(12, 60));
    rig.host->driver(3).add(ChainBuilder().readable(at, 72));
    CHECK(rig.run(3) == Progress::Waiting);
    CHECK(backend.sends == 0);
    CHECK(rig.command(4, 4, 0, bytes_of(u16{2})) == 0);
    CHECK(backend.configured.back().pairs_in_use == 2);
    CHECK(rig.host->runs_again[2] == 1);
    CHECK(rig.host->runs_again[3] == 1);
    CHECK(rig.run(3) == Progress::Drained);
    CHECK(backend.sent_pairs == std::vector<u16>{1});
    CHECK(rig.command(4, 4, 0, bytes_of(u16{1})) == 0);
    CHECK(backend.configured.back().pairs_in_use == 1);
}

TEST_CASE("net: pairs that do not exist are refused, and nothing changes", "[net]") {
    TwoPairs backend;
    NetRig rig(kVersion1 | kControlQueue | kMultiQueue, {}, backend);
    const std::size_t before = backend.configured.size();
    CHECK(rig.command(4, 4, 0, bytes_of(u16{0})) == 1);
    CHECK(rig.command(4, 4, 0, bytes_of(u16{3})) == 1);
    CHECK(rig.command(4, 4, 0, bytes_of(u16{0x8001})) == 1);
    CHECK(rig.command(4, 4, 0, bytes_of(u8{1})) == 1);
    CHECK(rig.command(4, 4, 0, bytes_of(u32{1})) == 1);
    CHECK(backend.configured.size() == before);
}

TEST_CASE("net: without MQ the control queue is the third, whatever the backend has", "[net]") {
    TwoPairs backend;
    NetRig rig(kVersion1 | kControlQueue | kControlMac, {}, backend);
    const std::array<u8, 6> mac{0x02, 1, 2, 3, 4, 5};
    CHECK(rig.command(2, 1, 1, bytes_of(mac)) == 0);
    CHECK(rig.command(2, 4, 0, bytes_of(u16{2})) == 1);
    backend.client->on_net_readable(1);
    CHECK(rig.host->runs_again[2] == 0);
}

TEST_CASE("net: the MAC address set by command shows, and a reset undoes it", "[net]") {
    NetRig rig(kVersion1 | kControlQueue | kControlMac);
    const std::array<u8, 6> mac{0x02, 1, 2, 3, 4, 5};
    CHECK(rig.command(2, 1, 1, bytes_of(mac)) == 0);
    CHECK(rig.net->config()[0] == std::byte{2});
    CHECK(rig.host->config_changes == 1);
    rig.net->stop();
    CHECK(rig.net->config()[0] == std::byte{0x52});
    rig.net->start(kVersion1, *rig.host);
}

TEST_CASE("net: the driver switches offloads among the negotiated ones", "[net]") {
    FakeNetBackend backend;
    backend.offloads = kGuestCsum | kGuestTso4 | bit(0);
    const u64 features = kVersion1 | kControlQueue | kControlOffloads | kGuestCsum | bit(0);
    NetRig rig(features, {}, backend);
    CHECK(backend.configured.back().features == features);
    CHECK(rig.command(2, 5, 0, bytes_of(u64{0})) == 0);
    CHECK(backend.configured.back().features == (features & ~kGuestCsum));
    CHECK(rig.command(2, 5, 0, bytes_of(kGuestCsum)) == 0);
    CHECK(backend.configured.back().features == features);
    CHECK(rig.command(2, 5, 0, bytes_of(kGuestCsum | kGuestTso4)) == 1);
    CHECK(rig.command(2, 5, 0, bytes_of(u64{1})) == 1);
    CHECK(backend.configured.back().features == features);
}

TEST_CASE("net: commands that were not negotiated, are unknown or too short are refused", "[net]") {
    NetRig rig(kVersion1 | kControlQueue);
    CHECK(rig.command(2, 0, 0, bytes_of(u8{1})) == 1);
    CHECK(rig.command(2, 1, 1, bytes_of(std::array<u8, 6>{2})) == 1);
    CHECK(rig.command(2, 4, 0, bytes_of(u16{1})) == 1);
    CHECK(rig.command(2, 5, 0, bytes_of(u64{0})) == 1);
    CHECK(rig.command(2, 0xff, 0xff, {}) == 1);
    const Gpa at = rig.ram.allocate(2);
    const u16 id = rig.host->driver(2).add(ChainBuilder().readable(at, 1).writable(at + 1, 1));
    CHECK(rig.run(2) == Progress::Drained);
    CHECK(rig.host->driver(2).take_used() == DriverQueue::Used{id, 1});
    CHECK(*rig.ram.at<u8>(at + 1) == 1);
    CHECK(rig.host->failures.empty());
}

TEST_CASE("net: a command without room for its answer fails the device", "[net]") {
    NetRig rig(kVersion1 | kControlQueue);
    rig.host->driver(2).add(ChainBuilder().readable(rig.ram.allocate(4), 4));
    CHECK(rig.run(2) == Progress::Waiting);
    CHECK(rig.host->failures.size() == 1);
}

TEST_CASE("net: it is restored only to a state that a driver can have caused", "[net]") {
    NetRig rig(kVersion1 | kMergedBuffers);
    const Net::State good = rig.net->save();
    CHECK(rig.net->restore(good));
    Net::State state = good;
    state.guest_offloads = bit(1);  // not negotiated
    CHECK_FALSE(rig.net->restore(state));
    for (const u16 pairs : {u16{0}, u16{2}, u16{0xffff}}) {
        state = good;
        state.pairs_in_use = pairs;
        CHECK_FALSE(rig.net->restore(state));
    }
    state = good;
    state.is_link_shown_up = false;
    const int changes = rig.host->config_changes;
    CHECK(rig.net->restore(state));  // the link is down, and the driver is told
    CHECK(rig.host->config_changes == changes + 1);
    rig.net->stop();
    state = good;
    state.has_failed = true;
    CHECK_FALSE(rig.net->restore(state));
}

TEST_CASE("net: a backend is configured with the restored settings, where they differ from the initial ones",
          "[net]") {
    NetRig rig(kVersion1 | kControlQueue | bit(2) | bit(1));
    const std::size_t told = rig.backend.configured.size();
    Net::State state = rig.net->save();
    CHECK(rig.net->restore(state));
    CHECK(rig.backend.configured.size() == told);
    state.guest_offloads = 0;
    CHECK(rig.net->restore(state));
    REQUIRE(rig.backend.configured.size() == told + 1);
    CHECK((rig.backend.configured.back().features & bit(1)) == 0);
}
