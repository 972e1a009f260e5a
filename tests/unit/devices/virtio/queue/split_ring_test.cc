// SPDX-License-Identifier: Apache-2.0
// The split ring against a driver that keeps the rules.
#include "tests/unit/devices/virtio/queue/queue_pair.h"

namespace {

using namespace mayfly;
using Pair = QueuePair;

TEST_CASE("a split chain is popped as its readable and writable ranges", "[queue]") {
    Pair it;
    const u16 id = it.driver.add(ChainBuilder()
                                     .readable(Gpa{0x100}, 16)
                                     .readable(Gpa{0x200}, 4)
                                     .writable(Gpa{0x300}, 512)
                                     .writable(Gpa{0x700}, 1));
    REQUIRE(it.queue.has_work());
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == id);
    REQUIRE(it.chain.token.descriptor_count == 4);
    REQUIRE(it.chain.readable.size() == 2);
    REQUIRE(it.chain.readable[0].iov_base == it.ram.at(Gpa{0x100}));
    REQUIRE(it.chain.readable[1].iov_len == 4);
    REQUIRE(it.chain.writable.size() == 2);
    REQUIRE(it.chain.writable[0].iov_base == it.ram.at(Gpa{0x300}));
    REQUIRE(it.chain.writable[1].iov_base == it.ram.at(Gpa{0x700}));
    REQUIRE(it.chain.writable.data() == it.storage.data() + 2);
    REQUIRE(it.chain.readable_bytes == 20);
    REQUIRE(it.chain.writable_bytes == 513);
    REQUIRE_FALSE(it.queue.has_work());
    REQUIRE(it.pop() == PopResult::Empty);
}

TEST_CASE("a used split chain is seen only once published", "[queue]") {
    Pair it;
    const u16 id = it.driver.add(ChainBuilder().writable(Gpa{0x300}, 512));
    REQUIRE(it.pop() == PopResult::Chain);
    it.queue.push(it.chain.token, 77);
    REQUIRE_FALSE(it.driver.take_used());
    REQUIRE(it.queue.publish());
    REQUIRE(it.driver.take_used() == DriverQueue::Used{id, 77});
    REQUIRE_FALSE(it.queue.publish());
    REQUIRE(it.queue.counts.requests == 1);
}

TEST_CASE("split chains may be used in another order than they came", "[queue]") {
    Pair it;
    const auto ids =
        it.driver.add_all({ChainBuilder().readable(Gpa{0x100}, 1), ChainBuilder().readable(Gpa{0x100}, 2)});
    REQUIRE(it.pop() == PopResult::Chain);
    const ChainToken first = it.chain.token;
    REQUIRE(it.pop() == PopResult::Chain);
    it.queue.push(it.chain.token, 0);
    it.queue.push(first, 0);
    REQUIRE(it.queue.publish());
    REQUIRE(it.driver.take_used()->id == ids[1]);
    REQUIRE(it.driver.take_used()->id == ids[0]);
}

TEST_CASE("split indices run freely past 65535 at every queue size", "[queue]") {
    for (const u16 size : {u16{1}, u16{2}, u16{8}, u16{1024}}) {
        Pair it({.size = size});
        for (u32 i = 0; i < 70000; ++i) {
            const u16 id = it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1 + i % 7));
            if (it.pop() != PopResult::Chain || it.chain.readable_bytes != 1 + i % 7) FAIL("at " << i);
            it.queue.push(it.chain.token, i);
            (void)it.queue.publish();
            if (it.driver.take_used() != DriverQueue::Used{id, i}) FAIL("at " << i);
        }
        REQUIRE(*it.ram.at<u16>(it.driver.used_idx_at()) == static_cast<u16>(70000));
    }
}

TEST_CASE("a full split ring is taken whole", "[queue]") {
    Pair it({.size = 8});
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 8; ++i) it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
        it.use(8);
        REQUIRE(it.pop() == PopResult::Empty);
        REQUIRE(it.queue.publish());
        for (int i = 0; i < 8; ++i) REQUIRE(it.driver.take_used());
    }
}

TEST_CASE("a split chain comes from an indirect table, alone or behind direct descriptors", "[queue]") {
    Pair it({.has_indirect = true});
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 16).writable(Gpa{0x300}, 512).indirect(it.ram));
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.descriptor_count == 1);
    REQUIRE(it.chain.readable_bytes == 16);
    REQUIRE(it.chain.writable_bytes == 512);

    // The second chain: descriptor 5 is direct, and descriptor 6 refers to a table.
    const Gpa table = it.ram.allocate(32);
    it.driver.write_raw(table, 0x400, 5, 1 | 2, 1);
    it.driver.write_raw(table + 16, 0x500, 6, 2, 0);
    it.driver.write_descriptor(5, 0x100, 7, 1, 6);
    it.driver.write_descriptor(6, table.value, 32, 4 | 2, 0);  // WRITE is ignored
    *it.ram.at<u16>(it.driver.avail_entry_at(1)) = 5;
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 2;
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.descriptor_count == 2);
    REQUIRE(it.chain.readable_bytes == 7);
    REQUIRE(it.chain.writable_bytes == 11);
}

TEST_CASE("an indirect table may lie at any address and describe more parts than the queue has", "[queue]") {
    Pair it({.size = 2, .has_indirect = true});
    const Gpa table = it.ram.allocate(16 * 9, 16) + 3;
    for (u16 i = 0; i < 8; ++i)
        it.driver.write_raw(table + u64{16} * i, 0x100, 1, i < 7 ? 1 : 0, static_cast<u16>(i + 1));
    it.driver.write_descriptor(0, table.value, 16 * 8, 4, 0);
    *it.ram.at<u16>(it.driver.avail_idx_at()) = 1;
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.readable.size() == 8);
}

TEST_CASE("an unpopped split chain comes again, newest first", "[queue]") {
    Pair it;
    const auto ids =
        it.driver.add_all({ChainBuilder().readable(Gpa{0x100}, 1), ChainBuilder().readable(Gpa{0x100}, 2)});
    REQUIRE(it.pop() == PopResult::Chain);
    const ChainToken first = it.chain.token;
    REQUIRE(it.pop() == PopResult::Chain);
    it.queue.unpop(it.chain.token);
    it.queue.unpop(first);
    REQUIRE(it.queue.has_work());
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == ids[0]);
    REQUIRE(it.pop() == PopResult::Chain);
    REQUIRE(it.chain.token.id == ids[1]);
}

TEST_CASE("without EVENT_IDX a split driver refuses interrupts by a flag", "[queue]") {
    Pair it;
    it.driver.refuse_interrupts();
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    it.use(1);
    REQUIRE_FALSE(it.queue.publish());
    REQUIRE(it.queue.counts.interrupts_suppressed == 1);
    REQUIRE(it.driver.want_interrupt());
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    it.use(1);
    REQUIRE(it.queue.publish());
    REQUIRE(it.queue.counts.interrupts_suppressed == 1);
}

TEST_CASE("with EVENT_IDX only the publication that passes used_event interrupts", "[queue]") {
    Pair it({.has_event_idx = true});
    REQUIRE_FALSE(it.driver.want_interrupt(3));
    *it.ram.at<u16>(it.driver.avail_flags_at()) = 1;  // means nothing now
    for (int i = 0; i < 6; ++i) it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    it.use(2);
    REQUIRE_FALSE(it.queue.publish());
    it.use(2);  // the third of them
    REQUIRE(it.queue.publish());
    it.use(1);
    REQUIRE_FALSE(it.queue.publish());
}

TEST_CASE("used_event is passed across 0xffff", "[queue]") {
    // used.idx goes 0xfffe -> 2; used_event inside, at both ends and just outside.
    const auto interrupts = [](u16 event) {
        Pair it({.has_event_idx = true});
        it.run_to(0xfffe);
        *it.ram.at<u16>(it.driver.used_event_at()) = event;
        for (int i = 0; i < 4; ++i) it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
        it.use(4);
        return it.queue.publish();
    };
    REQUIRE_FALSE(interrupts(0xfffd));
    REQUIRE(interrupts(0xfffe));
    REQUIRE(interrupts(0xffff));
    REQUIRE(interrupts(0x0000));
    REQUIRE(interrupts(0x0001));
    REQUIRE_FALSE(interrupts(0x0002));
}

TEST_CASE("split doorbells are suppressed and asked for by flags without EVENT_IDX", "[queue]") {
    Pair it;
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.driver.must_ring());
    it.queue.suppress_doorbells();
    REQUIRE(*it.ram.at<u16>(it.driver.used_flags_at()) == 1);
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE_FALSE(it.driver.must_ring());
    REQUIRE(it.queue.rearm_doorbells());  // two are waiting
    it.use(2);
    REQUIRE_FALSE(it.queue.rearm_doorbells());
    REQUIRE(*it.ram.at<u16>(it.driver.used_flags_at()) == 0);
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.driver.must_ring());
}

TEST_CASE("split doorbells stop with EVENT_IDX until the device asks for the next chain", "[queue]") {
    Pair it({.has_event_idx = true});
    REQUIRE_FALSE(it.queue.rearm_doorbells());
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.driver.must_ring());
    it.queue.suppress_doorbells();
    for (int i = 0; i < 3; ++i) {
        it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
        REQUIRE_FALSE(it.driver.must_ring());
    }
    it.use(4);
    REQUIRE_FALSE(it.queue.rearm_doorbells());
    REQUIRE(*it.ram.at<u16>(it.driver.avail_event_at()) == 4);
    REQUIRE(*it.ram.at<u16>(it.driver.used_flags_at()) == 0);
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    REQUIRE(it.driver.must_ring());
}

TEST_CASE("a stopped queue takes and gives nothing, and starts again at 0", "[queue]") {
    Pair it;
    it.driver.add(ChainBuilder().readable(Gpa{0x100}, 1));
    it.use(1);
    it.queue.stop();
    REQUIRE_FALSE(it.queue.is_running());
    REQUIRE_FALSE(it.queue.publish());
    REQUIRE_FALSE(it.queue.has_work());
    REQUIRE_FALSE(it.queue.rearm_doorbells());
    it.queue.suppress_doorbells();
    REQUIRE(it.pop() == PopResult::Empty);
    REQUIRE(*it.ram.at<u16>(it.driver.used_idx_at()) == 0);

    DriverQueue again(it.ram, {.size = 4});
    REQUIRE(it.queue.start(again.setup()));
    REQUIRE(it.queue.size() == 4);
    again.add(ChainBuilder().writable(Gpa{0x200}, 9));
    it.use(1);
    REQUIRE(it.queue.publish());
    REQUIRE(again.take_used());
}

TEST_CASE("a split ring starts only with a size and addresses that the specification allows", "[queue]") {
    TestRam ram(u64{1} << 16);
    VirtQueue queue(ram.memory());
    const QueueSetup good{
        .size = 8, .descriptors = Gpa{0x1000}, .driver_area = Gpa{0x2000}, .device_area = Gpa{0x3000}};
    REQUIRE(queue.start(good));
    const auto starts = [&](auto change) {
        QueueSetup setup = good;
        change(setup);
        return queue.start(setup) && queue.is_running();
    };
    for (const u16 size : {u16{0}, u16{3}, u16{6}, u16{1023}, u16{1025}, u16{2048}, u16{32768}, u16{65535}})
        REQUIRE_FALSE(starts([&](QueueSetup& it) { it.size = size; }));
    REQUIRE_FALSE(queue.is_running());
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x1008}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.driver_area = Gpa{0x2001}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.device_area = Gpa{0x3002}; }));
    // The last address at which each part fits, and the next.
    REQUIRE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x10000 - 8 * 16}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.descriptors = Gpa{0x10000 - 7 * 16}; }));
    REQUIRE(starts([](QueueSetup& it) { it.driver_area = Gpa{0x10000 - 22}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.driver_area = Gpa{0x10000 - 20}; }));
    REQUIRE(starts([](QueueSetup& it) { it.device_area = Gpa{0x10000 - 72}; }));
    REQUIRE_FALSE(starts([](QueueSetup& it) { it.device_area = Gpa{0x10000 - 68}; }));
    for (const u64 address : {u64{0x10000}, ~u64{0} - 15, u64{1} << 63})
        REQUIRE_FALSE(starts([&](QueueSetup& it) { it.descriptors = Gpa{address}; }));
}

}  // namespace
