// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console.h"

#include <catch2/catch.hpp>

#include "tests/support/fake_device_host.h"

namespace {

using namespace mayfly;

constexpr u16 kReceive = 0;
constexpr u16 kTransmit = 1;

class FakeConsoleSink final : public ConsoleSink {
  public:
    void write(std::span<const iovec> parts) override {
        for (const iovec& part : parts) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
        ++writes;
    }
    void on_room() override { ++rooms; }

    std::string text;
    int writes = 0;
    int rooms = 0;
};

struct Rig {
    explicit Rig(bool is_packed = false, bool has_event_idx = false)
        : host(ram,
               {{.size = 8, .is_packed = is_packed, .has_event_idx = has_event_idx},
                {.size = 8, .is_packed = is_packed, .has_event_idx = has_event_idx, .has_indirect = true}}) {}

    void start() { device.start(0, host); }
    std::size_t type(std::string_view text) {
        const std::size_t taken = device.receive({reinterpret_cast<const u8*>(text.data()), text.size()});
        if (std::exchange(host.runs_again[kReceive], 0) != 0) work();
        return taken;
    }
    /// The transport's part: doorbells are useful only to a drained queue.
    void work() {
        VirtQueue& queue = host.queue(kReceive);
        queue.suppress_doorbells();
        while (device.process(kReceive, 8) == Progress::Drained && queue.rearm_doorbells()) {
        }
    }
    /// A doorbell of the receive queue, if the device wants one.
    bool ring() {
        if (!host.driver(kReceive).must_ring()) return false;
        work();
        return true;
    }
    std::string input(Gpa at) {
        (void)host.queue(kReceive).publish();
        const auto used = host.driver(kReceive).take_used();
        return used ? std::string(ram.text(at, used->written_bytes)) : "nothing";
    }

    TestRam ram{u64{1} << 18};
    FakeDeviceHost host;
    FakeConsoleSink sink;
    Console device{"console0", sink, 80, 25};
};

u32 config_word(const Console& device, std::size_t offset) {
    u32 word = 0;
    std::memcpy(&word, device.config().data() + offset, 4);
    return word;
}

TEST_CASE("the console identifies itself", "[console]") {
    Rig it;
    REQUIRE(it.device.device_id() == 3);
    REQUIRE(it.device.features() == (1 | 4));
    REQUIRE(it.device.queue_sizes().size() == 2);
    REQUIRE(it.device.config().size() == 12);
    REQUIRE(config_word(it.device, 0) == (80 | (25U << 16)));
    REQUIRE(config_word(it.device, 4) == 1);
}

TEST_CASE("the bytes of a transmitted chain reach the sink in order, many per buffer", "[console]") {
    Rig it;
    it.start();
    const Gpa hello = it.ram.place("hello, ");
    const Gpa world = it.ram.place("world\n");
    it.host.driver(kTransmit).add(ChainBuilder().readable(hello, 7).readable(world, 6));
    it.host.driver(kTransmit).add(ChainBuilder().readable(world, 6));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Drained);
    REQUIRE(it.sink.text == "hello, world\nworld\n");
    REQUIRE(it.sink.writes == 2);
    REQUIRE(it.host.queue(kTransmit).publish());
    REQUIRE(it.host.driver(kTransmit).take_used()->written_bytes == 0);
    REQUIRE(it.host.driver(kTransmit).take_used());
    REQUIRE(it.host.queue(kTransmit).counts.bytes == 19);
}

TEST_CASE("a huge chain is written over several calls and used once", "[console]") {
    Rig it;
    it.start();
    constexpr u32 kPiece = 50'000;
    const Gpa text = it.ram.allocate(kPiece);
    for (u32 i = 0; i < kPiece; ++i) *it.ram.at<char>(text + i) = static_cast<char>('a' + i % 26);
    ChainBuilder chain;
    for (int i = 0; i < 3; ++i) chain.readable(text, kPiece);
    it.host.driver(kTransmit).add(chain.indirect(it.ram));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::More);
    REQUIRE(it.sink.text.size() == 65536);
    REQUIRE_FALSE(it.host.queue(kTransmit).publish());
    REQUIRE(it.device.process(kTransmit, 8) == Progress::More);
    REQUIRE(it.sink.text.size() == 131072);
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Drained);
    REQUIRE(it.host.queue(kTransmit).publish());
    REQUIRE(it.host.driver(kTransmit).take_used());
    const std::string once(it.ram.text(text, kPiece));
    REQUIRE(it.sink.text == once + once + once);
}

TEST_CASE("a chain written in part goes back to the ring, and later continues there", "[console]") {
    for (const bool is_packed : {false, true}) {
        Rig it(is_packed);
        it.start();
        constexpr u32 kSize = 100'000;
        const Gpa text = it.ram.allocate(kSize);
        for (u32 i = 0; i < kSize; ++i) *it.ram.at<char>(text + i) = static_cast<char>('a' + i % 26);
        it.host.driver(kTransmit).add(ChainBuilder().readable(text, kSize / 2).readable(text, kSize));
        it.host.driver(kTransmit).add(ChainBuilder().readable(text, 26));
        REQUIRE(it.device.process(kTransmit, 8) == Progress::More);
        REQUIRE(it.sink.text.size() == 65536);
        it.device.give_back();
        REQUIRE(it.host.queue(kTransmit).has_work());
        REQUIRE_FALSE(it.host.queue(kTransmit).publish());
        while (it.device.process(kTransmit, 8) == Progress::More) {
        }
        const std::string once(it.ram.text(text, kSize));
        CHECK(it.sink.text == once.substr(0, kSize / 2) + once + once.substr(0, 26));
    }
}

TEST_CASE("a chain that became shorter than its written part is done", "[console]") {
    Rig it;
    it.start();
    const Gpa text = it.ram.allocate(100'000);
    const u16 head = it.host.driver(kTransmit).add(ChainBuilder().readable(text, 100'000));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::More);
    it.device.give_back();
    *it.ram.at<u32>(it.host.driver(kTransmit).setup().descriptors + head * 16U + 8) = 10;  // its length
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Drained);
    CHECK(it.sink.text.size() == 65536);
    REQUIRE(it.host.queue(kTransmit).publish());
    CHECK(it.host.driver(kTransmit).take_used()->id == head);
}

TEST_CASE("output that was not written before a reset is gone", "[console]") {
    Rig it;
    it.start();
    const Gpa text = it.ram.allocate(100'000);
    it.host.driver(kTransmit).add(ChainBuilder().readable(text, 100'000));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::More);
    it.device.stop();
    it.host.queue(kTransmit).stop();
    it.host.driver(kTransmit).restart();
    REQUIRE(it.host.queue(kTransmit).start(it.host.driver(kTransmit).setup()));
    it.start();
    const std::size_t before = it.sink.text.size();
    it.host.driver(kTransmit).add(ChainBuilder().readable(it.ram.place("again"), 5));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Drained);
    REQUIRE(it.sink.text.substr(before) == "again");
}

TEST_CASE("transmitted chains are counted against the budget", "[console]") {
    Rig it;
    it.start();
    const Gpa text = it.ram.place("x");
    for (int i = 0; i < 3; ++i) it.host.driver(kTransmit).add(ChainBuilder().readable(text, 1));
    REQUIRE(it.device.process(kTransmit, 2) == Progress::More);
    REQUIRE(it.sink.text == "xx");
    REQUIRE(it.device.process(kTransmit, 2) == Progress::Drained);
    REQUIRE(it.sink.text == "xxx");
}

TEST_CASE("writable parts of a transmitted chain are left alone", "[console]") {
    Rig it;
    it.start();
    const Gpa text = it.ram.place("out");
    it.host.driver(kTransmit).add(ChainBuilder().readable(text, 3).writable(Gpa{0x100}, 8));
    it.host.driver(kTransmit).add(ChainBuilder().writable(Gpa{0x100}, 8));
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Drained);
    REQUIRE(it.sink.text == "out");
    REQUIRE(it.sink.writes == 1);
    REQUIRE(it.ram.text(Gpa{0x100}, 8) == std::string(8, '\0'));
    REQUIRE(it.host.queue(kTransmit).publish());
    for (int i = 0; i < 2; ++i) REQUIRE(it.host.driver(kTransmit).take_used()->written_bytes == 0);
}

TEST_CASE("input fills the driver's buffers, each with as much as it holds", "[console]") {
    Rig it;
    const Gpa first = it.ram.allocate(16);
    const Gpa second = it.ram.allocate(16);
    it.host.driver(kReceive).add(ChainBuilder().writable(first, 4).writable(first + 4, 4));
    it.host.driver(kReceive).add(ChainBuilder().writable(second, 16));
    it.start();
    REQUIRE(it.sink.rooms == 1);
    REQUIRE(it.type("0123456789") == 10);
    REQUIRE(it.host.completions[kReceive] == 1);
    REQUIRE(it.host.queue(kReceive).publish());
    REQUIRE(it.host.driver(kReceive).take_used()->written_bytes == 8);
    REQUIRE(it.host.driver(kReceive).take_used()->written_bytes == 2);
    REQUIRE(it.ram.text(first, 8) == "01234567");
    REQUIRE(it.ram.text(second, 2) == "89");
    REQUIRE(it.host.queue(kReceive).counts.bytes == 10);
}

TEST_CASE("input without room stays with its owner until the driver gives buffers", "[console]") {
    const bool is_packed = GENERATE(false, true);
    const bool has_event_idx = GENERATE(false, true);
    Rig it(is_packed, has_event_idx);
    REQUIRE(it.type("early") == 0);
    it.start();
    REQUIRE(it.sink.rooms == 0);
    REQUIRE(it.type("early") == 0);
    REQUIRE(it.host.completions[kReceive] == 0);
    const Gpa buffer = it.ram.allocate(8);
    for (int round = 1; round <= 20; ++round) {
        INFO("round " << round);
        it.host.driver(kReceive).add(ChainBuilder().writable(buffer, 3));
        REQUIRE(it.ring());
        REQUIRE(it.sink.rooms == round);
        REQUIRE(it.type("early") == 3);
        REQUIRE(it.input(buffer) == "ear");
    }
}

TEST_CASE("the driver is not asked for doorbells while it has given enough", "[console]") {
    Rig it(GENERATE(false, true), true);
    it.start();
    const Gpa buffer = it.ram.allocate(8);
    it.host.driver(kReceive).add(ChainBuilder().writable(buffer, 8));
    REQUIRE(it.ring());
    it.host.driver(kReceive).add(ChainBuilder().writable(buffer, 8));
    REQUIRE_FALSE(it.ring());
    REQUIRE(it.type("a") == 1);
    REQUIRE(it.input(buffer) == "a");
    it.host.driver(kReceive).add(ChainBuilder().writable(buffer, 8));
    REQUIRE_FALSE(it.ring());
    REQUIRE(it.sink.rooms == 1);
}

TEST_CASE("receive buffers that cannot be written come back empty", "[console]") {
    Rig it;
    const Gpa text = it.ram.place("mine");
    it.host.driver(kReceive).add(ChainBuilder().readable(text, 4));
    it.host.driver(kReceive).add(ChainBuilder().readable(text, 4).writable(Gpa{0x100}, 4));
    it.start();
    REQUIRE(it.type("abc") == 3);
    REQUIRE(it.input(Gpa{0x100}).empty());
    REQUIRE(it.input(Gpa{0x100}) == "abc");
    REQUIRE(it.ram.text(text, 4) == "mine");
}

TEST_CASE("a broken receive queue fails the device and takes no input", "[console]") {
    Rig it;
    it.start();
    it.host.driver(kReceive).write_one(Gpa{0x100}, 0, true);
    it.host.driver(kReceive).show();
    REQUIRE(it.type("abc") == 0);
    REQUIRE(it.host.failures == std::vector<std::string>{"a descriptor has length 0"});
    (void)it.device.process(kReceive, 8);
    REQUIRE(it.type("abc") == 0);
}

TEST_CASE("a broken transmit queue is left alone", "[console]") {
    Rig it;
    it.start();
    it.host.driver(kTransmit).write_one(Gpa{0x100}, 0, false);
    it.host.driver(kTransmit).show();
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Waiting);
    REQUIRE(it.host.queue(kTransmit).is_broken());
    REQUIRE(it.sink.writes == 0);
}

TEST_CASE("a new size is in the configuration, and the driver of a running console is told", "[console]") {
    Rig it;
    it.device.resize(100, 30);
    REQUIRE(it.host.config_changes == 0);
    REQUIRE(config_word(it.device, 0) == (100 | (30U << 16)));
    it.start();
    it.device.resize(100, 30);
    REQUIRE(it.host.config_changes == 0);
    it.device.resize(132, 43);
    REQUIRE(it.host.config_changes == 1);
    REQUIRE(config_word(it.device, 0) == (132 | (43U << 16)));
}

TEST_CASE("an emergency write shows its lower byte, started or not", "[console]") {
    Rig it;
    const auto write = [&](u32 offset, std::string_view bytes) {
        it.device.write_config(offset, std::as_bytes(std::span(bytes)));
    };
    write(8, std::string_view("P\0\0\0", 4));
    it.start();
    write(8, "a");
    write(8, "nX");
    write(6, "..i");
    write(0, "............ past the end");
    REQUIRE(it.sink.text == "Pani.");
    write(9, "abc");
    write(4, "abcd");
    write(0, "ab");
    write(12, "z");
    write(0xffff'ffff, "z");
    write(8, "");
    REQUIRE(it.sink.text == "Pani.");
    REQUIRE(config_word(it.device, 0) == (80 | (25U << 16)));
    REQUIRE(config_word(it.device, 8) == 0);
}

TEST_CASE("a stopped console does nothing until it is started again", "[console]") {
    Rig it;
    it.start();
    it.device.stop();
    it.host.driver(kReceive).add(ChainBuilder().writable(Gpa{0x100}, 4));
    REQUIRE(it.type("abc") == 0);
    REQUIRE(it.device.process(kReceive, 8) == Progress::Waiting);
    REQUIRE(it.device.process(kTransmit, 8) == Progress::Waiting);
    REQUIRE(it.sink.rooms == 0);
    it.start();
    REQUIRE(it.sink.rooms == 1);
    REQUIRE(it.type("abc") == 3);
}

}  // namespace

TEST_CASE("a console is restored only to a valid state", "[console]") {
    Rig it;
    const Console::State fresh = it.device.save();
    CHECK(it.device.restore(fresh));
    Console::State state = fresh;
    state.wants_room = true;
    CHECK_FALSE(it.device.restore(state));  // it was never started
    it.start();
    CHECK(it.device.restore(state));
    state.written_bytes = ~u64{0};
    CHECK(it.device.restore(state));
    state.config.max_nr_ports = 2;
    CHECK_FALSE(it.device.restore(state));
    state = fresh;
    state.config.emerg_wr = 1;
    CHECK_FALSE(it.device.restore(state));
}
