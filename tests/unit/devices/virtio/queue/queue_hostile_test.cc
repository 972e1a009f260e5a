// SPDX-License-Identifier: Apache-2.0
// Drivers that break the rules: each latches the queue with a reason, after which it is left alone.
#include <string>

#include "tests/unit/devices/virtio/queue/queue_pair.h"

namespace {

using namespace mayfly;
using Pair = QueuePair;

constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;
constexpr u16 kIndirect = 4;
constexpr u16 kAvail = 0x80;  // of the first round

std::string why(Pair& it) {
    const PopResult result = it.pop();
    if (result == PopResult::Broken) {
        REQUIRE(it.queue.is_broken());
        REQUIRE(it.pop() == PopResult::Broken);
        REQUIRE_FALSE(it.queue.has_work());
        REQUIRE_FALSE(it.queue.rearm_doorbells());
    } else {
        REQUIRE_FALSE(it.queue.is_broken());
    }
    return std::string(it.queue.why_broken());
}

/// One split descriptor at 0, made available.
std::string split_why(Pair& it, u64 addr, u32 len, u16 flags, u16 next = 0) {
    it.driver.write_descriptor(0, addr, len, flags, next);
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 1;
    return why(it);
}

std::string packed_why(Pair& it, u64 addr, u32 len, u16 flags) {
    it.driver.write_descriptor(0, addr, len, 0, static_cast<u16>(flags | kAvail));
    return why(it);
}

TEST_CASE("a descriptor outside guest memory breaks the queue", "[queue]") {
    const u64 end = u64{1} << 18;
    const auto split = [](u64 addr, u32 len) {
        Pair it;
        return split_why(it, addr, len, kWrite);
    };
    const auto packed = [](u64 addr, u32 len) {
        Pair it({.is_packed = true});
        return packed_why(it, addr, len, kWrite);
    };
    REQUIRE(split(end - 1, 1).empty());
    REQUIRE(packed(end - 1, 1).empty());
    REQUIRE(split(0, static_cast<u32>(end)).empty());
    for (const auto& [addr, len] : std::vector<std::pair<u64, u32>>{{end, 1},
                                                                    {end - 1, 2},
                                                                    {0, static_cast<u32>(end + 1)},
                                                                    {~u64{0}, 1},
                                                                    {~u64{0}, 2},
                                                                    {~u64{0} - 1, 0xffff'ffff},
                                                                    {u64{1} << 63, 16},
                                                                    {0, 0xffff'ffff}}) {
        REQUIRE(split(addr, len) == "a descriptor points outside guest memory");
        REQUIRE(packed(addr, len) == "a descriptor points outside guest memory");
    }
}

TEST_CASE("a descriptor that spans the hole below 4 GiB breaks the queue", "[queue]") {
    TestRam ram(u64{1} << 16, 4096);
    DriverQueue driver(ram, {});
    VirtQueue queue(ram.memory());
    REQUIRE(queue.start(driver.setup()));
    std::array<iovec, 4> storage{};
    driver.add(ChainBuilder().readable(Gpa{TestRam::kHighBase}, 4096));
    REQUIRE(queue.pop(storage).result == PopResult::Chain);
    driver.add(ChainBuilder().readable(Gpa{0xfff0}, 0x20));
    REQUIRE(queue.pop(storage).result == PopResult::Broken);
}

TEST_CASE("an empty descriptor breaks the queue", "[queue]") {
    Pair split;
    REQUIRE(split_why(split, 0x100, 0, 0) == "a descriptor has length 0");
    Pair packed({.is_packed = true});
    REQUIRE(packed_why(packed, 0x100, 0, kWrite) == "a descriptor has length 0");
}

TEST_CASE("a readable descriptor behind a writable one breaks the queue", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    Pair it({.is_packed = is_packed});
    it.driver.add(ChainBuilder().writable(Gpa{0x100}, 1).readable(Gpa{0x100}, 1));
    REQUIRE(why(it) == "a device-readable descriptor follows a device-writable one");
}

TEST_CASE("a chain with more parts than the device accepts breaks the queue", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    Pair it({.size = 32, .is_packed = is_packed});
    ChainBuilder chain;
    for (int i = 0; i < 16; ++i) chain.readable(Gpa{0x100}, 1);
    it.driver.add(chain);
    REQUIRE(why(it).empty());
    Pair other({.size = 32, .is_packed = is_packed});
    other.driver.add(chain.writable(Gpa{0x100}, 1));
    REQUIRE(why(other) == "a chain has more parts than this device takes");
}

TEST_CASE("split indices at and past the queue's size break it", "[queue]") {
    for (const u16 head : {u16{8}, u16{9}, u16{0x7fff}, u16{0xffff}}) {
        Pair it;
        *it.ram.at<u16>(it.driver.avail_entry_at(0)) = head;
        REQUIRE(split_why(it, 0x100, 1, 0) == "a descriptor's index is not below the queue's size");
        Pair next;
        REQUIRE(split_why(next, 0x100, 1, kNext, head) ==
                "a descriptor's index is not below the queue's size");
    }
}

TEST_CASE("loops of split descriptors end at the queue's size", "[queue]") {
    Pair self;
    REQUIRE(split_why(self, 0x100, 1, kNext, 0) == "a chain is longer than the queue's size");
    Pair two;
    two.driver.write_descriptor(1, 0x100, 1, kNext, 0);
    REQUIRE(split_why(two, 0x100, 1, kNext, 1) == "a chain is longer than the queue's size");
    // A chain that uses every descriptor once is not a loop.
    Pair all;
    for (u16 i = 0; i < 8; ++i)
        all.driver.write_descriptor(i, 0x100, 1, i < 7 ? kNext : u16{0}, static_cast<u16>(i + 1));
    *all.ram.at<u16>(all.driver.avail_idx_at()) = 1;
    REQUIRE(why(all).empty());
    REQUIRE(all.chain.readable.size() == 8);
}

TEST_CASE("avail.idx may be ahead of used.idx by the queue's size and no more", "[queue]") {
    const auto with = [](u16 idx) {
        Pair it;
        it.driver.write_descriptor(0, 0x100, 1, 0, 0);
        *it.ram.at<u16>(it.driver.avail_idx_at()) = idx;
        return why(it);
    };
    REQUIRE(with(8).empty());
    for (const u16 idx : {u16{9}, u16{10}, u16{0x8000}, u16{0xffff}})
        REQUIRE(with(idx) == "avail.idx is further ahead than the queue's size");
}

TEST_CASE("a driver cannot have more chains with the device than the queue's size", "[queue]") {
    Pair it;
    it.driver.write_descriptor(0, 0x100, 1, 0, 0);
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 8;  // the same head eight times
    for (int i = 0; i < 8; ++i) REQUIRE(it.pop() == PopResult::Chain);
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 9;
    SECTION("while the device works on them") {
        REQUIRE(why(it) == "avail.idx is further ahead than the queue's size");
    }
    SECTION("nor before it was told that they are done") {
        it.queue.push(it.chain.token, 0);
        REQUIRE(why(it) == "avail.idx is further ahead than the queue's size");
    }
    SECTION("but again when it was") {
        it.queue.push(it.chain.token, 0);
        REQUIRE(it.queue.publish());
        REQUIRE(why(it).empty());
    }
}

TEST_CASE("an avail.idx that goes back breaks the queue", "[queue]") {
    Pair it;
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.pop() == PopResult::Chain);
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 1;
    REQUIRE(why(it) == "avail.idx went backwards");
}

TEST_CASE("indirect tables that break the rules break the queue", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    const auto with = [&](u64 addr, u32 len, u16 more_flags = 0, bool has_indirect = true) {
        Pair it({.is_packed = is_packed, .has_indirect = has_indirect});
        const auto flags = static_cast<u16>(kIndirect | more_flags);
        it.driver.write_raw(Gpa{0x800}, 0x100, 1, 0, 0);
        it.driver.write_raw(Gpa{(u64{1} << 18) - 16}, 0x100, 1, 0, 0);
        return is_packed ? packed_why(it, addr, len, flags) : split_why(it, addr, len, flags, 1);
    };
    const u64 end = u64{1} << 18;
    REQUIRE(with(0x800, 16).empty());
    REQUIRE(with(end - 16, 16).empty());
    REQUIRE(with(0x800, 16, 0, false) == "an indirect descriptor was not negotiated");
    REQUIRE(with(0x800, 0) == "an indirect table is empty");
    for (const u32 len : {1U, 15U, 17U, 0xffff'ffffU})
        REQUIRE(with(0x800, len) == "an indirect table's length is not a multiple of 16");
    REQUIRE(with(0x800, 0xffff'fff0U) == "an indirect table has more than 65536 entries");
    REQUIRE(with(0x800, 16 * 65537) == "an indirect table has more than 65536 entries");
    REQUIRE(with(end - 16, 32) == "an indirect table lies outside guest memory");
    REQUIRE(with(end, 16) == "an indirect table lies outside guest memory");
    REQUIRE(with(~u64{0} - 15, 16) == "an indirect table lies outside guest memory");
    REQUIRE(with(0x800, 16, kNext) == (is_packed ? "an indirect descriptor is part of a list"
                                                 : "an indirect descriptor has a next one"));
}

TEST_CASE("links inside a split indirect table are bounded", "[queue]") {
    const auto with = [](u16 flags, u16 next, u32 entries = 2) {
        Pair it({.has_indirect = true});
        for (u16 i = 0; i < 2; ++i) it.driver.write_raw(Gpa{0x800} + u64{16} * i, 0x100, 1, flags, next);
        return split_why(it, 0x800, 16 * entries, kIndirect);
    };
    REQUIRE(with(kIndirect, 0) == "an indirect table has an indirect descriptor");
    REQUIRE(with(kNext, 0) == "a chain has more parts than this device takes");
    REQUIRE(with(kNext, 1) == "a chain has more parts than this device takes");
    REQUIRE(with(kNext, 2) == "an index is not below an indirect table's size");
    REQUIRE(with(kNext, 0xffff) == "an index is not below an indirect table's size");
    REQUIRE(with(kNext, 1, 1) == "an index is not below an indirect table's size");
}

TEST_CASE("a packed list without an end breaks the queue", "[queue]") {
    Pair it({.is_packed = true});
    for (u16 i = 0; i < 8; ++i) it.driver.write_descriptor(i, 0x100, 1, i, kNext | kAvail);
    REQUIRE(why(it) == "more descriptors are available than the queue's size");
}

TEST_CASE("a packed driver cannot have more descriptors with the device than the queue's size", "[queue]") {
    Pair it({.size = 4, .is_packed = true});
    for (u16 i = 0; i < 4; ++i) it.driver.write_descriptor(i, 0x100, 1, i, kAvail);
    for (int i = 0; i < 4; ++i) REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.pop() == PopResult::Empty);
    it.driver.write_descriptor(0, 0x100, 1, 0, 0x8000);  // available in the second round
    SECTION("while the device works on them") {
        REQUIRE(why(it) == "more descriptors are available than the queue's size");
    }
    SECTION("nor before it was told that they are done") {
        it.queue.push(it.chain.token, 0);
        it.driver.write_descriptor(0, 0x100, 1, 0, 0x8000);
        REQUIRE(why(it) == "more descriptors are available than the queue's size");
    }
}

TEST_CASE("an indirect descriptor inside a packed list breaks the queue", "[queue]") {
    Pair it({.is_packed = true, .has_indirect = true});
    it.driver.write_descriptor(1, 0x800, 16, 0, kIndirect | kAvail);
    REQUIRE(packed_why(it, 0x100, 1, kNext) == "an indirect descriptor is part of a list");
}

TEST_CASE("a broken queue writes nothing to guest memory", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    Pair it({.is_packed = is_packed});
    it.driver.add_all({ChainBuilder().readable(Gpa{0x100}, 1), ChainBuilder().readable(Gpa{0x100}, 1)});
    REQUIRE(it.pop() == PopResult::Chain);
    const ChainToken first = it.chain.token;
    it.driver.write_descriptor(1, 0x100, 0, 0, is_packed ? kAvail : u16{0});
    REQUIRE(why(it) == "a descriptor has length 0");
    const auto before = it.ram.bytes(Gpa{0}, it.ram.low_bytes());
    it.queue.push(first, 5);
    REQUIRE_FALSE(it.queue.publish());
    it.queue.suppress_doorbells();
    it.queue.unpop(first);
    REQUIRE_FALSE(it.queue.rearm_doorbells());
    REQUIRE(it.ram.bytes(Gpa{0}, it.ram.low_bytes()) == before);
    REQUIRE(it.queue.counts.requests == 0);
    // A reset makes it sound again.
    it.queue.stop();
    REQUIRE_FALSE(it.queue.is_broken());
    DriverQueue again(it.ram, {.is_packed = is_packed});
    REQUIRE(it.queue.start(again.setup()));
    again.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.pop() == PopResult::Chain);
}

}  // namespace
