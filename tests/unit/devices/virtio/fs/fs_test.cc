// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/fs/fs.h"

#include "tests/unit/devices/virtio/fs/fs_rig.h"

namespace {

using namespace mayfly;

std::string config_text(const Fs& fs) {
    return {reinterpret_cast<const char*>(fs.config().data()), fs.config().size()};
}

TEST_CASE("the file system device identifies itself", "[fs]") {
    FakeFsBackend backend;
    const auto fs = std::move(*Fs::create({.name = "share0", .tag = "data"}, backend));
    REQUIRE(fs->name() == "share0");
    REQUIRE(fs->device_id() == 26);
    REQUIRE(fs->features() == 0);
    REQUIRE(fs->queue_sizes().size() == 2);
    REQUIRE(fs->queue_sizes()[kPriority] == 128);
    REQUIRE(fs->queue_sizes()[kRequests] == 1024);
    REQUIRE(fs->needs_io_thread());
    REQUIRE(fs->in_flight() == 0);
    // virtio 1.2 §5.11.4 "Device configuration layout": char tag[36], le32 num_request_queues.
    REQUIRE(config_text(*fs) == "data" + std::string(32, '\0') + std::string("\1\0\0\0", 4));
}

TEST_CASE("a tag may fill its field, and neither be longer nor empty", "[fs]") {
    FakeFsBackend backend;
    const auto fs = std::move(*Fs::create({.name = "share0", .tag = std::string(36, 't')}, backend));
    REQUIRE(config_text(*fs) == std::string(36, 't') + std::string("\1\0\0\0", 4));
    const auto longer = Fs::create({.name = "share0", .tag = std::string(37, 't')}, backend);
    REQUIRE_FALSE(longer);
    REQUIRE(longer.error().message() ==
            "share0: the tag '" + std::string(37, 't') + "' has 37 bytes, not 1 to 36");
    REQUIRE_FALSE(Fs::create({.name = "share0", .tag = ""}, backend));
}

TEST_CASE("a driver cannot write the file system's configuration", "[fs]") {
    FsRig it;
    const std::string before = config_text(*it.fs);
    const std::vector<std::byte> bytes(40, std::byte{0xff});
    it.fs->write_config(0, bytes);
    it.fs->write_config(36, std::span(bytes).first(4));
    REQUIRE(config_text(*it.fs) == before);
}

TEST_CASE("a request reaches the backend, and its answer the driver", "[fs]") {
    FsRig it;
    const Gpa first = it.ram.place("hea");
    const Gpa second = it.ram.place("der");
    const Gpa room = it.ram.allocate(8);
    const Gpa more_room = it.ram.allocate(100);
    const u16 id = it.host.driver(kRequests).add(
        ChainBuilder().readable(first, 3).readable(second, 3).writable(room, 8).writable(more_room, 100));
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    REQUIRE(it.fs->in_flight() == 1);
    REQUIRE(it.backend.request(0) == "header");
    REQUIRE(it.backend.pending[0]->room.size() == 2);
    REQUIRE_FALSE(it.host.queue(kRequests).publish());

    it.backend.finish(0, 10);
    REQUIRE(it.fs->in_flight() == 0);
    REQUIRE(it.host.completions[kRequests] == 1);
    REQUIRE(it.host.queue(kRequests).publish());
    REQUIRE(it.host.driver(kRequests).take_used() == DriverQueue::Used{id, 10});
    REQUIRE(it.ram.text(room, 8) == std::string(8, '\x5a'));
    REQUIRE(it.ram.text(more_room, 3) == std::string("\x5a\x5a\0", 3));
    REQUIRE(it.host.queue(kRequests).counts.bytes == 16);
}

TEST_CASE("a request without room has no answer, and its buffer comes back", "[fs]") {
    FsRig it;
    const u16 id = it.send(kPriority, "forget", 0);
    REQUIRE(it.fs->process(kPriority, 8) == Progress::Drained);
    REQUIRE(it.backend.pending[0]->room.empty());
    it.backend.finish(0, 0);
    REQUIRE(it.host.completions[kPriority] == 1);
    REQUIRE(it.host.completions[kRequests] == 0);
    REQUIRE(it.host.queue(kPriority).publish());
    REQUIRE(it.host.driver(kPriority).take_used() == DriverQueue::Used{id, 0});
}

TEST_CASE("requests are started in order, and answered in any", "[fs]") {
    FsRig it;
    const u16 first = it.send(kRequests, "one");
    const u16 second = it.send(kRequests, "two");
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    REQUIRE(it.backend.request(0) == "one");
    REQUIRE(it.backend.request(1) == "two");
    it.backend.finish(1, 2);
    it.backend.finish(0, 1);
    REQUIRE(it.host.queue(kRequests).publish());
    REQUIRE(it.host.driver(kRequests).take_used() == DriverQueue::Used{second, 2});
    REQUIRE(it.host.driver(kRequests).take_used() == DriverQueue::Used{first, 1});
}

TEST_CASE("file system requests are counted against the budget", "[fs]") {
    FsRig it;
    for (int i = 0; i < 3; ++i) it.send(kRequests, "request");
    REQUIRE(it.fs->process(kRequests, 2) == Progress::More);
    REQUIRE(it.backend.pending.size() == 2);
    REQUIRE(it.fs->process(kRequests, 2) == Progress::Drained);
    REQUIRE(it.backend.pending.size() == 3);
}

TEST_CASE("a request of as many parts as the queue has entries is taken", "[fs]") {
    FsRig it({.size = 1024, .has_indirect = true});
    const Gpa text = it.ram.place("x");
    ChainBuilder chain;
    for (int i = 0; i < 1020; ++i) chain.readable(text, 1);
    for (int i = 0; i < 4; ++i) chain.writable(it.ram.allocate(1), 1);
    it.host.driver(kRequests).add(chain.indirect(it.ram));
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    REQUIRE(it.backend.request(0) == std::string(1020, 'x'));
    REQUIRE(it.backend.pending[0]->room.size() == 4);
}

TEST_CASE("requests beyond the slots wait, and go on when another is done", "[fs]") {
    FsRig it({.size = 1024, .has_indirect = true});
    for (int i = 0; i < 300; ++i) it.send(kRequests, "request");
    it.send(kPriority, "interrupt", 0);
    REQUIRE(it.fs->process(kRequests, 1000) == Progress::Waiting);
    REQUIRE(it.backend.pending.size() == 256);
    REQUIRE(it.host.runs_again[kRequests] == 0);

    // A request that cancels one of them does not wait behind them.
    REQUIRE(it.fs->process(kPriority, 8) == Progress::Drained);
    REQUIRE(it.backend.request(256) == "interrupt");

    it.backend.finish(0, 1);
    it.backend.finish(0, 1);
    REQUIRE(it.host.runs_again[kRequests] == 1);
    REQUIRE(it.host.runs_again[kPriority] == 0);
    REQUIRE(it.fs->process(kRequests, 1000) == Progress::Waiting);
    REQUIRE(it.backend.pending.size() == 257);
    while (it.backend.pending.size() > 200) it.backend.finish(0, 1);
    REQUIRE(it.host.runs_again[kRequests] == 2);
    REQUIRE(it.fs->process(kRequests, 1000) == Progress::Drained);
}

TEST_CASE("every entry of the high priority queue can be in flight", "[fs]") {
    FsRig it({.size = 128});
    const Gpa text = it.ram.place("forget");
    for (int i = 0; i < 128; ++i) it.host.driver(kPriority).add(ChainBuilder().readable(text, 6));
    REQUIRE(it.fs->process(kPriority, 128) == Progress::More);
    REQUIRE(it.backend.pending.size() == 128);
}

TEST_CASE("an empty request breaks the device until it is reset", "[fs]") {
    FsRig it;
    it.host.driver(kRequests).add(ChainBuilder().writable(it.ram.allocate(64), 64));
    it.send(kRequests, "behind it");
    it.send(kPriority, "on another queue");
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Waiting);
    REQUIRE(it.host.failures == std::vector<std::string>{"a file system request without a request"});
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Waiting);
    REQUIRE(it.fs->process(kPriority, 8) == Progress::Waiting);
    REQUIRE(it.backend.pending.empty());
    REQUIRE(it.fs->in_flight() == 0);
    REQUIRE(it.host.failures.size() == 1);

    it.fs->stop();
    it.fs->start(0, it.host);
    REQUIRE(it.fs->process(kPriority, 8) == Progress::Drained);
    REQUIRE(it.backend.request(0) == "on another queue");
}

TEST_CASE("a broken ring breaks the device, and requests in flight are still answered", "[fs]") {
    FsRig it;
    it.send(kRequests, "request");
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    it.host.driver(kRequests).write_one(Gpa{0x100}, 0, true);
    it.host.driver(kRequests).show();
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Waiting);
    REQUIRE(it.host.failures.size() == 1);
    REQUIRE(it.fs->in_flight() == 1);
    it.backend.finish(0, 4);
    REQUIRE(it.fs->in_flight() == 0);
}

TEST_CASE("the backend forgets a driver before it gets requests of the next", "[fs]") {
    FsRig it;
    it.send(kRequests, "request");
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    it.fs->cancel();
    REQUIRE(it.backend.cancel_count == 1);
    it.backend.finish(0, 0);
    it.fs->stop();
    REQUIRE(it.backend.reset_count == 0);  // only on the thread that works

    it.fs->start(0, it.host);
    it.send(kRequests, "of another driver");
    REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
    REQUIRE(it.fs->process(kPriority, 8) == Progress::Drained);
    REQUIRE(it.backend.reset_count == 1);
    REQUIRE(it.backend.resets_at_pending == std::vector<std::size_t>{0});
}

TEST_CASE("few requests at a time touch few slots, however many come in total", "[fs]") {
    FsRig it;
    for (int i = 0; i < 100; ++i) {
        it.send(kRequests, "request", 0);
        REQUIRE(it.fs->process(kRequests, 8) == Progress::Drained);
        it.backend.finish(0, 0);
        (void)it.host.queue(kRequests).publish();
        REQUIRE(it.host.driver(kRequests).take_used());
    }
    REQUIRE(it.fs->slots(kRequests).touched_count() <= 2);
    REQUIRE(it.fs->slots(kPriority).touched_count() == 0);
}

}  // namespace
