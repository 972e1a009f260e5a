// SPDX-License-Identifier: Apache-2.0
// Real taps, in a network namespace of the test's own.
#include "vmm/network/tap.h"

#include <fstream>
#include <net/if.h>

#include "tests/unit/vmm/network/tap_host.h"
#include "vmm/network/interface.h"

namespace {

using namespace mayfly;

constexpr u64 kGuestCsum = u64{1} << 1;
constexpr u64 kGuestTso4 = u64{1} << 7;
constexpr u64 kVersion1 = u64{1} << 32;

std::unique_ptr<Tap> open_tap(const std::string& name, u16 pairs = 1) {
    tap_host::enter_own_network();
    auto tap = Tap::open({.name = name, .pairs = pairs});
    if (!tap) FAIL(tap.error().message());
    return std::move(*tap);
}

std::string refusal(const std::string& name, u16 pairs = 1) {
    tap_host::enter_own_network();
    auto tap = Tap::open({.name = name, .pairs = pairs});
    REQUIRE_FALSE(tap);
    return tap.error().message();
}

Bytes with_header(const Bytes& frame) { return joined(Bytes(12), frame); }

/// The next frame of the test's own kind, header included, waited for.
Bytes next_frame(Tap& tap, u16 pair = 0) {
    Bytes found;
    static_cast<void>(comes_true([&] {
        Received received = receive_bytes(tap, 70000, pair);
        if (received.bytes.size() < 12 + 14) return false;
        found = std::move(received.bytes);
        return true;
    }));
    return found;
}

}  // namespace

TEST_CASE("tap: an MTU that is asked for is the interface's", "[tap]") {
    tap_host::enter_own_network();
    tap_host::create_persistent("mf0", true, false);
    const Interfaces interfaces = Interfaces::open().value();
    REQUIRE(Tap::open({.name = "mf0"}).has_value());
    CHECK(interfaces.mtu_of("mf0") == 1500);
    REQUIRE(Tap::open({.name = "mf0", .mtu = 1400}).has_value());
    CHECK(interfaces.mtu_of("mf0") == 1400);
    // More than a tap can have: it keeps its MTU.
    REQUIRE(Tap::open({.name = "mf0", .mtu = 65535}).has_value());
    CHECK(interfaces.mtu_of("mf0") == 1400);
    CHECK_FALSE(interfaces.mtu_of("none"));
    REQUIRE(tap_host::remove("mf0"));
}

TEST_CASE("tap: one that does not exist is made, is up, and is removed at the end", "[tap]") {
    {
        const auto tap = open_tap("mf0");
        CHECK(tap->name() == "mf0");
        CHECK(tap_host::is_up("mf0"));
        CHECK(tap->pair_count() == 1);
    }
    CHECK_FALSE(tap_host::exists("mf0"));
}

TEST_CASE("tap: the kernel chooses a name where none is given", "[tap]") {
    CHECK(open_tap("")->name() == "tap0");
    CHECK(open_tap("mf%d")->name() == "mf0");
}

TEST_CASE("tap: one that exists is joined, and stays", "[tap]") {
    tap_host::enter_own_network();
    const bool has_many_queues = GENERATE(false, true);
    tap_host::create_persistent("mf1", true, has_many_queues);
    {
        const auto tap = open_tap("mf1");
        CHECK(tap->name() == "mf1");
    }
    CHECK(tap_host::exists("mf1"));
    CHECK(tap_host::remove("mf1"));
}

TEST_CASE("tap: invalid names are refused before the kernel is asked", "[tap]") {
    CHECK_THAT(refusal("a-name-of-16-chr"), Catch::Contains("16 characters, the limit is 15"));
    for (const char* name : {"a/b", "a b", ".", "..", "a:b", "a%s", "a%", "%d%d", "a\tb"})
        CHECK_THAT(refusal(name), Catch::Contains("cannot be an interface's name"));
    CHECK_THAT(refusal("mf0", 0), Catch::Contains("queue pairs"));
    CHECK_THAT(refusal("mf0", 17), Catch::Contains("1 to 16"));
}

TEST_CASE("tap: interfaces that are not taps, or do not fit, are refused", "[tap]") {
    tap_host::enter_own_network();
    CHECK_THAT(refusal("lo"), Catch::Contains("'lo' is not a tap"));
    tap_host::create_persistent("mftun", false, false);
    CHECK_THAT(refusal("mftun"), Catch::Contains("'mftun' is not a tap"));
    CHECK(tap_host::remove("mftun"));
    tap_host::create_persistent("mf1", true, false);
    CHECK_THAT(refusal("mf1", 2), Catch::Contains("has one queue") && Catch::Contains("multi_queue"));
    CHECK(tap_host::remove("mf1"));
}

TEST_CASE("tap: one that another program uses is refused", "[tap]") {
    const auto tap = open_tap("mf0");
    CHECK_THAT(refusal("mf0"), Catch::Contains("mf0") && Catch::Contains("another program uses it"));
}

TEST_CASE("tap: frames pass both ways", "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(kVersion1, 12, 1));
    const tap_host::PacketSocket host("mf0", tap_host::kTestEthertype);
    const Bytes out = tap_host::ethernet(46);
    CHECK(send_bytes(*tap, with_header(out)) == NetStatus::Done);
    CHECK(host.receive() == out);

    const Bytes in = tap_host::ethernet(100, 7);
    CHECK(receive_bytes(*tap).status == NetStatus::Wait);
    REQUIRE(host.send(in));
    CHECK(next_frame(*tap) == with_header(in));
    CHECK(receive_bytes(*tap).status == NetStatus::Wait);
}

TEST_CASE("tap: a legacy driver's header is two bytes shorter", "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(0, 10, 1));
    const tap_host::PacketSocket host("mf0", tap_host::kTestEthertype);
    const Bytes out = tap_host::ethernet(46);
    CHECK(send_bytes(*tap, joined(Bytes(10), out)) == NetStatus::Done);
    CHECK(host.receive() == out);
    REQUIRE(host.send(out));
    CHECK(next_frame(*tap) == joined(Bytes(10), out));
}

TEST_CASE("tap: a frame larger than the room is dropped, not cut; one that fits to the byte is not",
          "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(kVersion1, 12, 1));
    const tap_host::PacketSocket host("mf0", tap_host::kTestEthertype);
    for (int i = 0; i < 2; ++i) REQUIRE(host.send(tap_host::ethernet(100)));
    CHECK(receive_bytes(*tap, 12 + 113).status == NetStatus::Dropped);
    CHECK(receive_bytes(*tap, 12 + 114).bytes == with_header(tap_host::ethernet(100)));
}

TEST_CASE("tap: invalid frames are dropped", "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(kVersion1, 12, 1));
    CHECK(send_bytes(*tap, Bytes(11)) == NetStatus::Dropped);
    CHECK(send_bytes(*tap, Bytes(12 + 13)) == NetStatus::Dropped);
    Bytes nonsense = with_header(tap_host::tcp_frame(100));
    nonsense[0] = std::byte{1};     // NEEDS_CSUM
    nonsense[7] = std::byte{0xff};  // somewhere behind the frame
    CHECK(send_bytes(*tap, nonsense) == NetStatus::Dropped);
}

TEST_CASE("tap: a segmentation offload's frame leaves whole, with its header", "[tap]") {
    const auto tap = open_tap("mf0");
    CHECK((tap->offload_features() & (u64{1} << 11)) != 0);
    REQUIRE(tap->configure(kVersion1, 12, 1));
    const tap_host::PacketSocket host("mf0", 0x0800, true);
    const Bytes frame = tap_host::tcp_frame(10000);
    const Bytes header = tap_host::segmentation_header(1460);
    CHECK(send_bytes(*tap, joined(joined(header, Bytes(2)), frame)) == NetStatus::Done);
    const Bytes seen = host.receive();
    REQUIRE(seen.size() == 10 + frame.size());
    CHECK(seen[1] == std::byte{1});
    CHECK(Bytes(seen.begin() + 4, seen.begin() + 6) == Bytes(header.begin() + 4, header.begin() + 6));
    CHECK((Bytes(seen.begin() + 10 + 54, seen.end()) == pattern(10000)));
}

TEST_CASE("tap: a driver that takes segments gets them whole, another one gets frames of its MTU", "[tap]") {
    const auto tap = open_tap("mf0");
    const tap_host::PacketSocket host("mf0", 0x0800, true);
    const Bytes frame = joined(tap_host::segmentation_header(1460), tap_host::tcp_frame(10000));
    REQUIRE(tap->configure(kVersion1 | kGuestCsum | kGuestTso4, 12, 1));
    REQUIRE(host.send(frame));
    const Bytes whole = next_frame(*tap);
    REQUIRE(whole.size() == 12 + 54 + 10000);
    CHECK(whole[0] == std::byte{1});
    CHECK(whole[1] == std::byte{1});

    REQUIRE(tap->configure(kVersion1, 12, 1));
    REQUIRE(host.send(frame));
    std::size_t payload_bytes = 0;
    for (int i = 0; i < 7; ++i) {
        const Bytes segment = next_frame(*tap);
        REQUIRE(segment.size() > 12 + 54);
        CHECK(segment.size() <= 12 + 54 + 1460);
        CHECK(segment[0] == std::byte{0});
        CHECK(segment[1] == std::byte{0});
        payload_bytes += segment.size() - 12 - 54;
    }
    CHECK(payload_bytes == 10000);
}

TEST_CASE("tap: every combination of offloads that a driver may take is accepted", "[tap]") {
    const auto tap = open_tap("mf0");
    const u64 bits[] = {1, 7, 8, 9};
    for (unsigned mask = 0; mask < 16; ++mask) {
        u64 features = kVersion1;
        for (unsigned i = 0; i < 4; ++i) features |= (mask >> i & 1) != 0 ? u64{1} << bits[i] : 0;
        CHECK(tap->configure(features, 12, 1));
    }
}

TEST_CASE("tap: an event announces a frame that came after the wait began", "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(kVersion1, 12, 1));
    const tap_host::PacketSocket host("mf0", tap_host::kTestEthertype);
    CountingClient client;
    tap->set_client(&client);
    RunningLoop loop;
    REQUIRE(tap->attach(*loop.loop));
    loop.run();
    for (int i = 1; i <= 5; ++i) {
        CHECK(receive_bytes(*tap).status == NetStatus::Wait);
        const int before = client.readable[0];
        REQUIRE(host.send(tap_host::ethernet(60)));
        CHECK(comes_true([&] { return client.readable[0] > before; }));
        CHECK(receive_bytes(*tap).status == NetStatus::Done);
    }
    CHECK(client.writable == 0);
    CHECK(client.downs == 0);
}

TEST_CASE("tap: several queues send and receive, and those not in use get nothing", "[tap]") {
    const auto tap = open_tap("mf0", 3);
    CHECK(tap->pair_count() == 3);
    CountingClient client;
    tap->set_client(&client);
    RunningLoop loop;
    REQUIRE(tap->attach(*loop.loop));
    loop.run();
    REQUIRE(tap->configure(kVersion1, 12, 3));
    const tap_host::PacketSocket host("mf0", tap_host::kTestEthertype);
    for (u16 pair = 0; pair < 3; ++pair) {
        const Bytes frame = tap_host::ethernet(60, static_cast<u8>(pair));
        CHECK(send_bytes(*tap, with_header(frame), pair) == NetStatus::Done);
        CHECK(host.receive() == frame);
    }
    REQUIRE(tap->configure(kVersion1, 12, 1));
    for (u8 i = 0; i < 20; ++i) REQUIRE(host.send(tap_host::ethernet(60, i)));
    for (u8 i = 0; i < 20; ++i) CHECK(next_frame(*tap) == with_header(tap_host::ethernet(60, i)));
    CHECK(client.readable[1] == 0);
    CHECK(client.readable[2] == 0);
    CHECK(client.downs == 0);
    // And back to one.
    REQUIRE(tap->configure(kVersion1, 12, 2));
    CHECK(send_bytes(*tap, with_header(tap_host::ethernet(60)), 1) == NetStatus::Done);
    CHECK(client.downs == 0);
}

TEST_CASE("tap: one that is removed while it runs takes the link down and nothing else", "[tap]") {
    const u16 pairs = GENERATE(as<u16>{}, 1, 2);
    const auto tap = open_tap("mf0", pairs);
    REQUIRE(tap->configure(kVersion1, 12, 1));
    CountingClient client;
    tap->set_client(&client);
    RunningLoop loop;
    REQUIRE(tap->attach(*loop.loop));
    loop.run();
    const bool is_read = GENERATE(false, true);
    if (is_read) CHECK(receive_bytes(*tap).status == NetStatus::Wait);
    REQUIRE(tap_host::remove("mf0"));
    if (is_read) {
        // A device's reaction to the event of an awaited frame.
        CHECK(comes_true([&] { return client.readable[0] > 0 || client.downs > 0; }));
        CHECK(comes_true([&] { return receive_bytes(*tap).status == NetStatus::Down; }));
    }
    CHECK(comes_true([&] { return client.downs == 1; }));
    CHECK(receive_bytes(*tap).status == NetStatus::Down);
    CHECK(send_bytes(*tap, with_header(tap_host::ethernet(60))) == NetStatus::Down);
    const u64 turns = loop.turns();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(loop.turns() - turns < 10);
    CHECK(client.downs == 1);
    CHECK(client.ups == 0);
}

TEST_CASE("tap: one that is removed before a loop runs is noticed by sending and receiving", "[tap]") {
    const auto tap = open_tap("mf0");
    REQUIRE(tap->configure(kVersion1, 12, 1));
    REQUIRE(tap_host::remove("mf0"));
    if (GENERATE(false, true)) {
        CHECK(receive_bytes(*tap).status == NetStatus::Down);
    }
    CHECK(send_bytes(*tap, with_header(tap_host::ethernet(60))) == NetStatus::Down);
    CHECK(receive_bytes(*tap).status == NetStatus::Down);
    CHECK_FALSE(tap->configure(0, 10, 1));
}
