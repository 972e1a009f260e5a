// SPDX-License-Identifier: Apache-2.0
// The channel to init, with the test as init: an honest one, and a hostile one.
#include "vmm/machine/program/program_channel.h"

#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/machine/program/fake_init.h"

using namespace mayfly;
using namespace mayfly::test;
using Outcome = ProgramChannel::Outcome;

namespace {

constexpr u32 kInputBytes = 64 * kFrame;
constexpr u32 kOutputBytes = 64 * kFrame;

struct Monitor {
    explicit Monitor(const Init& init) : channel(init.memory(), [this] { ++wakes; }) {}

    std::string take(RingName ring, std::size_t room = 1 << 20) {
        std::vector<std::byte> into(room);
        const ProgramChannel::Moved moved = channel.take(ring, into);
        last = moved.outcome;
        return {reinterpret_cast<const char*>(into.data()), moved.bytes};
    }
    u32 put(const std::string& text) {
        const ProgramChannel::Moved moved = channel.put(std::as_bytes(std::span(text)));
        last = moved.outcome;
        return moved.bytes;
    }

    u32 wakes = 0;
    ProgramChannel channel;
    Outcome last = Outcome::Nothing;
};

}  // namespace

TEST_CASE("a channel is opened once, and only a valid one") {
    const Init init;
    Monitor monitor(init);
    CHECK(monitor.take(RingName::Output).empty());
    CHECK(monitor.put("early") == 0);
    CHECK(monitor.last == Outcome::Nothing);
    CHECK_FALSE(monitor.channel.open(init.frame() + 1));       // no header there
    CHECK_FALSE(monitor.channel.open(channel::kFrames + 16));  // behind RAM
    CHECK_FALSE(monitor.channel.open(~0U));
    for (const u32 bad : {~0U, channel::kFrames + 16U}) {
        u32& frame = init.header().frames[channel::kFrames - 1];
        const u32 good = std::exchange(frame, bad);
        CHECK_FALSE(monitor.channel.open(init.frame()));
        frame = good;
    }
    CHECK(init.header().is_open == 0);
    CHECK(monitor.channel.open(init.frame()));
    CHECK(init.header().is_open == 1);
    CHECK_FALSE(monitor.channel.open(init.frame()));
}

TEST_CASE("output comes in order, round the ring, and its end behind it") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    // Near the end of a 32-bit count.
    ProgramChannelState late = monitor.channel.save();
    late.counts[static_cast<u32>(RingName::Output)] = ~0U - 1000;
    REQUIRE(monitor.channel.restore(late));
    init.ring(RingName::Output).producer.count = init.ring(RingName::Output).consumer.count = ~0U - 1000;
    std::string sent;
    std::string come;
    for (u32 round = 0; round < 40; ++round) {
        std::string text(kOutputBytes / 3 + round, ' ');
        for (char& c : text) c = static_cast<char>('a' + (sent.size() + round) % 26);
        init.put(RingName::Output, text);
        sent += text;
        if (round == 39) init.ring(RingName::Output).producer.is_over = 1;
        while (true) {
            const std::string piece = monitor.take(RingName::Output, 50'000);
            if (piece.empty()) break;
            come += piece;
        }
        CHECK(monitor.last == (round == 39 ? Outcome::Over : Outcome::Nothing));
    }
    CHECK(come == sent);
    CHECK(monitor.take(RingName::Error).empty());
    init.put(RingName::Error, "its own");
    CHECK(monitor.take(RingName::Error) == "its own");
}

TEST_CASE("input comes in order, no more than there is room for, and its end behind it") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    std::string text(kInputBytes + 100, 'x');
    for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7);
    CHECK(monitor.channel.room().bytes == kInputBytes);
    CHECK(monitor.put(text) == kInputBytes);
    CHECK(monitor.last == Outcome::Nothing);
    CHECK((init.header().monitor_wishes & 1) != 0);
    CHECK(monitor.put("more") == 0);
    CHECK(monitor.last == Outcome::Nothing);
    CHECK((init.header().monitor_wishes & 1) != 0);
    CHECK(init.take_input() == text.substr(0, kInputBytes));
    CHECK(monitor.put(text.substr(kInputBytes)) == 100);
    CHECK(init.take_input() == text.substr(kInputBytes));
    monitor.channel.end_input();
    CHECK(init.ring(RingName::Input).producer.is_over == 1);
    init.ring(RingName::Input).consumer.is_over = 1;
    CHECK(monitor.put("nobody reads") == 0);
    CHECK(monitor.last == Outcome::Over);
}

TEST_CASE("impossible counts break the channel, and nothing is copied") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    for (const u32 count : {kOutputBytes + 1, 1U << 31, ~0U}) {
        init.ring(RingName::Output).producer.count = count;
        CHECK(monitor.take(RingName::Output).empty());
        CHECK(monitor.last == Outcome::Broken);
    }
    init.ring(RingName::Output).producer.count = kOutputBytes;
    CHECK(monitor.take(RingName::Output).size() == kOutputBytes);
    for (const u32 count : {1U, 1U << 31, ~0U - kInputBytes}) {
        init.ring(RingName::Input).consumer.count = count;
        CHECK(monitor.put("text") == 0);
        CHECK(monitor.last == Outcome::Broken);
    }
    // The frames were copied when it was opened.
    init.ring(RingName::Input).consumer.count = 0;
    for (u32& frame : init.header().frames) frame = ~0U;
    CHECK(monitor.put("text") == 4);
}

TEST_CASE("init is woken for its wishes, once") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    CHECK(monitor.put("a") == 1);
    CHECK(monitor.wakes == 0);
    constexpr u32 kInput = 1;
    constexpr u32 kOutput = 2;
    constexpr u32 kMessages = 8;
    init.header().init_wishes = kOutput | kMessages;
    CHECK(monitor.put("b") == 1);
    monitor.channel.tell_of_input();
    CHECK(monitor.wakes == 0);
    init.put(RingName::Output, "text");
    CHECK(monitor.take(RingName::Output) == "text");
    CHECK(monitor.wakes == 1);
    CHECK(init.header().init_wishes == 0);
    CHECK(monitor.channel.send({channel::MessageKind::Signal, 15}));
    CHECK(monitor.wakes == 1);
    // For input, when no more is at hand, or the ring is full.
    init.header().init_wishes = kInput;
    CHECK(monitor.put("c") == 1);
    CHECK(monitor.wakes == 1);
    monitor.channel.tell_of_input();
    CHECK(monitor.wakes == 2);
    init.header().init_wishes = kInput;
    CHECK(monitor.put(std::string(kInputBytes, 'x')) == kInputBytes - 3);
    CHECK(monitor.wakes == 3);
    // For room, when half a ring is free.
    init.header().init_wishes = kOutput;
    init.put(RingName::Output, std::string(kOutputBytes, 'x'));
    CHECK(monitor.take(RingName::Output, kOutputBytes / 2 - 1).size() == kOutputBytes / 2 - 1);
    CHECK(monitor.wakes == 3);
    CHECK(monitor.take(RingName::Output, 1).size() == 1);
    CHECK(monitor.wakes == 4);
    init.header().init_wishes = kInput;
    monitor.channel.end_input();
    CHECK(monitor.wakes == 5);
    init.header().init_wishes = kOutput;
    monitor.channel.leave(RingName::Output);
    CHECK(monitor.wakes == 6);
    CHECK(init.ring(RingName::Output).consumer.is_over == 1);
}

TEST_CASE("messages come in order, and no more than init takes") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    for (u32 value = 0; value < 32; ++value) CHECK(monitor.channel.send({channel::MessageKind::Size, value}));
    CHECK_FALSE(monitor.channel.send({channel::MessageKind::Size, 32}));
    CHECK(init.header().messages_put == 32);
    CHECK(init.header().messages[31].value == 31);
    init.header().messages_taken = 1;
    CHECK(monitor.channel.send({channel::MessageKind::Signal, 9}));
    CHECK(init.header().messages[0].value == 9);
    CHECK(init.header().messages[0].kind == channel::MessageKind::Signal);
    // An init that takes messages that were never sent gets no more.
    init.header().messages_taken = 100;
    CHECK_FALSE(monitor.channel.send({channel::MessageKind::Signal, 9}));
}

TEST_CASE("a channel goes on where the saved one stood") {
    const Init init;
    auto monitor = std::make_unique<Monitor>(init);
    CHECK(Monitor(init).channel.restore(monitor->channel.save()));
    REQUIRE(monitor->channel.open(init.frame()));
    std::string come;
    for (u32 step = 0; step < 100; ++step) {
        init.put(RingName::Output, std::string(5000, static_cast<char>('a' + step % 26)));
        come += monitor->take(RingName::Output, 3000);
        CHECK(monitor->put("in ") == 3);
        CHECK(monitor->channel.send({channel::MessageKind::Size, step}));
        init.header().messages_taken = init.header().messages_put;
        auto next = std::make_unique<Monitor>(init);
        REQUIRE(next->channel.restore(monitor->channel.save()));
        monitor = std::move(next);
        come += monitor->take(RingName::Output);
    }
    CHECK(come.size() == 100 * 5000);
    CHECK(init.take_input().size() == 300);
    CHECK(init.header().messages_put == 100);
    ProgramChannelState forged = monitor->channel.save();
    forged.frames[5] = ~0U;
    CHECK_FALSE(Monitor(init).channel.restore(forged));
    forged = monitor->channel.save();
    forged.header_frame = ~0U;
    CHECK_FALSE(Monitor(init).channel.restore(forged));
}

TEST_CASE("two threads lose no byte, whichever sleeps") {
    const Init init;
    Monitor monitor(init);
    REQUIRE(monitor.channel.open(init.frame()));
    constexpr u32 kBytes = 4 << 20;
    std::thread program([&] {
        u32 sent = 0;
        while (sent < kBytes) {
            const u32 used =
                sent - __atomic_load_n(&init.ring(RingName::Output).consumer.count, __ATOMIC_ACQUIRE);
            const u32 piece = std::min(kOutputBytes - used, 1000U);
            if (piece == 0) std::this_thread::yield();
            init.put(RingName::Output, std::string(std::min(piece, kBytes - sent), 'x'));
            sent += std::min(piece, kBytes - sent);
        }
        __atomic_store_n(&init.ring(RingName::Output).producer.is_over, 1, __ATOMIC_SEQ_CST);
    });
    u64 come = 0;
    do come += monitor.take(RingName::Output, 10'000).size();
    while (monitor.last == Outcome::Done || monitor.last == Outcome::Nothing);
    program.join();
    CHECK(monitor.last == Outcome::Over);
    CHECK(come == kBytes);
}
