// SPDX-License-Identifier: Apache-2.0
// The packed ring against a driver that keeps the rules.
#include <deque>
#include <random>

#include "tests/unit/devices/virtio/queue/queue_pair.h"

namespace {

using namespace mayfly;
using Pair = QueuePair;

ChainBuilder parts(u16 count) {
    ChainBuilder chain;
    for (u16 i = 0; i < count; ++i) chain.readable(Gpa{0x100}, 1);
    return chain;
}

TEST_CASE("a packed chain is popped as its readable and writable ranges", "[queue]") {
    Pair it({.is_packed = true});
    const u16 id = it.driver.add(
        ChainBuilder().readable(Gpa{0x100}, 16).readable(Gpa{0x200}, 4).writable(Gpa{0x300}, 512));
    REQUIRE(it.queue.has_work());
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == id);
    REQUIRE(it.chain.token.descriptor_count == 3);
    REQUIRE(it.chain.readable.size() == 2);
    REQUIRE(it.chain.readable[1].iov_base == it.ram.at(Gpa{0x200}));
    REQUIRE(it.chain.writable.size() == 1);
    REQUIRE(it.chain.readable_bytes == 20);
    REQUIRE(it.chain.writable_bytes == 512);
    REQUIRE_FALSE(it.queue.has_work());
    REQUIRE(it.pop() == PopResult::Empty);
}

TEST_CASE("a used packed descriptor has length, id and flags at the device's place", "[queue]") {
    Pair it({.size = 4, .is_packed = true});
    it.driver.add(parts(3));
    const u16 id = it.driver.add(ChainBuilder().writable(Gpa{0x300}, 512));
    REQUIRE(it.pop() == PopResult::Chain);
    const ChainToken first = it.chain.token;
    REQUIRE(it.pop() == PopResult::Chain);
    // The second completes first and takes the first place.
    it.queue.push(it.chain.token, 0x1234);
    REQUIRE(it.queue.publish());
    REQUIRE(*it.ram.at<u32>(it.driver.descriptor_at(0) + 8) == 0x1234);
    REQUIRE(*it.ram.at<u16>(it.driver.descriptor_at(0) + 12) == id);
    REQUIRE(*it.ram.at<u16>(it.driver.descriptor_at(0) + 14) == (0x8000 | 0x80 | 2));
    REQUIRE(it.driver.take_used() == DriverQueue::Used{id, 0x1234});
    it.queue.push(first, 0);
    REQUIRE(it.queue.publish());
    REQUIRE(*it.ram.at<u16>(it.driver.descriptor_at(1) + 14) == (0x8000 | 0x80));
    REQUIRE(it.driver.take_used()->written_bytes == 0);
    // The third goes to place 0 of the next round, where the flags of a used descriptor are clear.
    it.driver.add(parts(1));
    it.use(1);
    REQUIRE(it.queue.publish());
    REQUIRE(*it.ram.at<u16>(it.driver.descriptor_at(0) + 14) == 0);
    REQUIRE(it.driver.take_used());
}

TEST_CASE("the first used descriptor of a packed batch appears last", "[queue]") {
    Pair it({.is_packed = true});
    for (int i = 0; i < 3; ++i) it.driver.add(parts(1));
    it.use(3);
    const auto flags = [&](u16 index) { return *it.ram.at<u16>(it.driver.descriptor_at(index) + 14); };
    REQUIRE(flags(0) == 0x80);
    REQUIRE(flags(1) == 0x8080);
    REQUIRE(flags(2) == 0x8080);
    REQUIRE_FALSE(it.driver.take_used());
    REQUIRE(it.queue.publish());
    REQUIRE(flags(0) == 0x8080);
    for (int i = 0; i < 3; ++i) REQUIRE(it.driver.take_used());
    REQUIRE_FALSE(it.queue.publish());
}

TEST_CASE("packed rings of any size carry lists of any length out of order", "[queue]") {
    std::mt19937 random(3);
    for (const u16 size : {u16{1}, u16{2}, u16{3}, u16{7}, u16{8}, u16{100}, u16{1024}}) {
        Pair it({.size = size, .is_packed = true});
        std::deque<std::pair<ChainToken, u32>> out;
        std::vector<u32> lengths(size);
        u32 serial = 0;
        u32 used = 0;
        while (used < 20000) {
            const auto count = static_cast<u16>(1 + random() % std::min<u16>(size, 5));
            if (it.driver.room() >= count && random() % 3 != 0) {
                lengths[it.driver.add(parts(count))] = ++serial;
                if (it.pop() != PopResult::Chain || it.chain.readable_bytes != count) FAIL("size " << size);
                out.emplace_back(it.chain.token, serial);
            } else if (!out.empty()) {
                const bool is_front = random() % 2 != 0;
                const auto [token, length] = is_front ? out.front() : out.back();
                if (is_front)
                    out.pop_front();
                else
                    out.pop_back();
                it.queue.push(token, length);
                if (random() % 2 != 0) (void)it.queue.publish();
            } else {
                (void)it.queue.publish();
            }
            while (const auto back = it.driver.take_used()) {
                if (lengths[back->id] != back->written_bytes) FAIL("size " << size << " used " << used);
                ++used;
            }
        }
    }
}

TEST_CASE("a packed chain may come from an indirect table", "[queue]") {
    Pair it({.size = 2, .is_packed = true, .has_indirect = true});
    for (int round = 0; round < 3; ++round) {
        const u16 id = it.driver.add(ChainBuilder()
                                         .readable(Gpa{0x100}, 16)
                                         .readable(Gpa{0x100}, 1)
                                         .writable(Gpa{0x300}, 512)
                                         .indirect(it.ram));
        REQUIRE(it.pop() == PopResult::Chain);
        REQUIRE(it.chain.token.id == id);
        REQUIRE(it.chain.token.descriptor_count == 1);
        REQUIRE(it.chain.readable.size() == 2);
        REQUIRE(it.chain.writable_bytes == 512);
        it.queue.push(it.chain.token, 512);
        REQUIRE(it.queue.publish());
        REQUIRE(it.driver.take_used() == DriverQueue::Used{id, 512});
    }
}

TEST_CASE("flags other than WRITE are ignored in a packed indirect table", "[queue]") {
    Pair it({.is_packed = true, .has_indirect = true});
    const Gpa table = it.ram.allocate(64) + 5;
    it.driver.write_raw(table, 0x100, 4, 0xffff, static_cast<u16>(~2));  // NEXT, INDIRECT, AVAIL, USED
    it.driver.write_raw(table + 16, 0x200, 8, 0xffff, 2);
    it.driver.write_descriptor(0, table.value, 32, 0xbeef, 4 | 2 | 0x80);
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == 0xbeef);
    REQUIRE(it.chain.readable_bytes == 4);
    REQUIRE(it.chain.writable_bytes == 8);
}

TEST_CASE("an unpopped packed chain comes again, also across the ring's end", "[queue]") {
    Pair it({.size = 5, .is_packed = true});
    it.driver.add(parts(3));
    it.use(1);
    REQUIRE(it.queue.publish());
    REQUIRE(it.driver.take_used());
    const auto ids = it.driver.add_all({parts(1), parts(4)});
    REQUIRE(it.pop() == PopResult::Chain);
    const ChainToken first = it.chain.token;
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == ids[1]);
    it.queue.unpop(it.chain.token);
    REQUIRE(it.queue.has_work());
    it.queue.unpop(first);
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == ids[0]);
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == ids[1]);
    it.queue.push(first, 0);
    it.queue.push(it.chain.token, 0);
    REQUIRE(it.queue.publish());
    REQUIRE(it.driver.take_used()->id == ids[0]);
    REQUIRE(it.driver.take_used()->id == ids[1]);
}

TEST_CASE("a packed driver enables and disables interrupts", "[queue]") {
    const bool has_event_idx = GENERATE(false, true);
    Pair it({.is_packed = true, .has_event_idx = has_event_idx});
    it.driver.refuse_interrupts();
    it.driver.add(parts(1));
    it.use(1);
    REQUIRE_FALSE(it.queue.publish());
    REQUIRE(it.queue.counts.interrupts_suppressed == 1);
    REQUIRE(it.driver.take_used());
    *it.ram.at<u32>(it.driver.driver_events_at()) = 0;
    it.driver.add(parts(1));
    it.use(1);
    REQUIRE(it.queue.publish());
}

TEST_CASE("a packed publication interrupts when it passes the event's place and round", "[queue]") {
    // The ring has 8 places. The device used 6; then 4 chains go to places 6, 7 and, of the next round, 0, 1.
    const auto interrupts = [](u16 place, bool wrap) {
        Pair it({.is_packed = true, .has_event_idx = true});
        it.driver.refuse_interrupts();
        for (int i = 0; i < 6; ++i) it.driver.add(parts(1));
        it.use(6);
        REQUIRE_FALSE(it.queue.publish());
        while (it.driver.take_used()) {
        }
        *it.ram.at<u32>(it.driver.driver_events_at()) = place | (wrap ? 0x8000U : 0) | (2U << 16);
        for (int i = 0; i < 4; ++i) it.driver.add(parts(1));
        it.use(4);
        return it.queue.publish();
    };
    REQUIRE_FALSE(interrupts(5, true));
    REQUIRE(interrupts(6, true));
    REQUIRE(interrupts(7, true));
    REQUIRE(interrupts(0, false));
    REQUIRE(interrupts(1, false));
    REQUIRE_FALSE(interrupts(2, false));
    REQUIRE_FALSE(interrupts(0, true));
    REQUIRE_FALSE(interrupts(6, false));
}

TEST_CASE("a list that is used as one passes the event of any place in it", "[queue]") {
    Pair it({.is_packed = true, .has_event_idx = true});
    *it.ram.at<u32>(it.driver.driver_events_at()) = 2 | 0x8000U | (2U << 16);
    it.driver.add(parts(4));
    it.use(1);
    REQUIRE(it.queue.publish());
}

TEST_CASE("a descriptor's event means every event when EVENT_IDX was not negotiated", "[queue]") {
    Pair it({.is_packed = true});
    *it.ram.at<u32>(it.driver.driver_events_at()) = 7 | (2U << 16);
    it.driver.add(parts(1));
    it.use(1);
    REQUIRE(it.queue.publish());
}

TEST_CASE("packed doorbells are suppressed and asked for", "[queue]") {
    const bool has_event_idx = GENERATE(false, true);
    Pair it({.size = 3, .is_packed = true, .has_event_idx = has_event_idx});
    for (int round = 0; round < 5; ++round) {
        it.queue.suppress_doorbells();
        REQUIRE(*it.ram.at<u16>(it.driver.device_events_at() + 2) == 1);
        it.driver.add(parts(1));
        REQUIRE_FALSE(it.driver.must_ring());
        REQUIRE(it.queue.rearm_doorbells());
        it.use(1);
        (void)it.queue.publish();
        REQUIRE(it.driver.take_used());
        REQUIRE_FALSE(it.queue.rearm_doorbells());
        REQUIRE(*it.ram.at<u16>(it.driver.device_events_at() + 2) == (has_event_idx ? 2 : 0));
        it.driver.add(parts(1));
        REQUIRE(it.driver.must_ring());
        it.use(1);
        (void)it.queue.publish();
        REQUIRE(it.driver.take_used());
    }
}

TEST_CASE("a packed ring starts only with a size and addresses that the specification allows", "[queue]") {
    TestRam ram(u64{1} << 16);
    VirtQueue queue(ram.memory());
    const QueueSetup good{.size = 7,
                          .descriptors = Gpa{0x1000},
                          .driver_area = Gpa{0x2000},
                          .device_area = Gpa{0x3000},
                          .is_packed = true};
    REQUIRE(queue.start(good));
    const auto starts = [&](auto change) {
        QueueSetup setup = good;
        change(setup);
        return queue.start(setup) && queue.is_running();
    };
    for (const u16 size : {u16{0}, u16{1025}, u16{32768}, u16{65535}})
        REQUIRE_FALSE(starts([&](QueueSetup& it) { it.size = size; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x1008}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.driver_area = Gpa{0x2002}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.device_area = Gpa{0x3001}; }));
    REQUIRE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x10000 - 7 * 16}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x10000 - 6 * 16}; }));
    REQUIRE(starts([](QueueSetup& it) { it.driver_area = Gpa{0xfffc}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.device_area = Gpa{0x10000}; }));
}

}  // namespace
