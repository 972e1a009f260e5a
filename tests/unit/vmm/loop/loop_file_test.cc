// SPDX-License-Identifier: Apache-2.0
// Files through the loop: transfers, and more requests than its queues hold.
#include <array>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/unit/vmm/loop/loop_fixture.h"

using namespace mayfly;

namespace {

UniqueFd make_file() { return UniqueFd::adopt(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)); }

iovec part_of(void* bytes, std::size_t size) { return {bytes, size}; }

}  // namespace

TEST_CASE("a file is written, synchronised, punched and read through the loop", "[loop]") {
    auto loop = make_loop();
    const UniqueFd fd = make_file();
    const u32 file = *loop->add_file(fd);
    std::array<char, 5000> out{};
    out.fill('a');
    std::array<char, 3> tail{'x', 'y', 'z'};
    std::array<char, 5003> in{};
    const std::array one{part_of(out.data(), out.size())};
    const std::array two{part_of(out.data(), out.size()), part_of(tail.data(), tail.size())};
    const std::array back{part_of(in.data(), 4096), part_of(in.data() + 4096, in.size() - 4096)};
    CallOperation operation;
    int step = 0;
    operation.call = [&](i32, bool) {
        switch (++step) {
            case 1: return loop->writev(file, two, 0, 0, operation);
            case 2: return loop->fsync(file, true, operation);
            case 3:
                return loop->fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096, operation);
            case 4: return loop->readv(file, back, 0, operation);
            case 5: return loop->readv(file, back, 5000, operation);
            default: return loop->stop();
        }
    };
    CallTask begin([&] { loop->writev(file, one, 0, RWF_DSYNC, operation); });
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    CHECK(operation.results == std::vector<i32>{5000, 5003, 0, 0, 5003, 3});
    CHECK(in[4095] == 0);
    CHECK(in[4096] == 'a');
    CHECK(std::memcmp(in.data(), "xyz", 3) == 0);  // the second read's bytes
}

TEST_CASE("ten thousand requests at once through a queue of eight all complete", "[loop]") {
    auto loop = make_loop({.entries = 8, .files_max = 8});
    const UniqueFd fd = make_file();
    REQUIRE(::ftruncate(fd.get(), 10'000 * 512) == 0);
    for (u32 n = 0; n < 10'000; ++n)
        REQUIRE(::pwrite(fd.get(), &n, sizeof n, static_cast<off_t>(n) * 512) == sizeof n);
    const u32 file = *loop->add_file(fd);
    struct Request {
        CallOperation operation;
        u32 read = 0;
        iovec part{};
    };
    std::vector<Request> requests(10'000);
    u32 left = 10'000;
    CallTask begin([&] {
        for (u32 n = 0; n < requests.size(); ++n) {
            Request& request = requests[n];
            request.part = part_of(&request.read, sizeof request.read);
            request.operation.call = [&](i32, bool) {
                if (--left == 0) loop->stop();
            };
            loop->readv(file, {&request.part, 1}, u64{n} * 512, request.operation);
        }
    });
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    u32 wrong = 0;
    for (u32 n = 0; n < requests.size(); ++n)
        wrong += requests[n].read != n || requests[n].operation.results != std::vector<i32>{4};
    CHECK(wrong == 0);
    CHECK(loop->counts().submitted >= 10'000);
}

TEST_CASE("a flood of completions delays a task by at most one turn", "[loop]") {
    auto loop = make_loop({.entries = 1024, .files_max = 8});
    const UniqueFd fd = make_file();
    REQUIRE(::pwrite(fd.get(), "x", 1, 0) == 1);
    const u32 file = *loop->add_file(fd);
    std::vector<CallOperation> reads(1024);
    char byte = 0;
    const iovec part = part_of(&byte, 1);
    u64 completed = 0;
    u64 completed_at_task = 0;
    for (CallOperation& read : reads) read.call = [&](i32, bool) { ++completed; };
    CallTask watch;
    watch.call = [&] {
        if (completed == 0) return loop->run_soon(watch);
        completed_at_task = completed;
        loop->stop();
    };
    CallTask begin([&] {
        for (CallOperation& read : reads) loop->readv(file, {&part, 1}, 0, read);
        loop->run_soon(watch);
    });
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    CHECK(completed_at_task > 0);
    CHECK(completed_at_task <= 256);
    CHECK(completed == 1024);
}

TEST_CASE("polls that the kernel ends when completions overflow are armed again", "[loop]") {
    auto loop = make_loop({.entries = 1, .files_max = 128});  // four completions fit
    std::vector<EventFd> events;
    for (int n = 0; n < 64; ++n) events.push_back(*EventFd::create());
    std::vector<CallOperation> polls(64);
    std::vector<int> rounds(64);
    u32 round = 1;
    u32 left = 64;
    CallTask ring([&] {
        for (const EventFd& event : events) event.signal();
    });
    CallTask begin([&] {
        for (u32 n = 0; n < 64; ++n) {
            polls[n].call = [&, n](i32 result, bool) {
                if (result != POLLIN || rounds[n] == static_cast<int>(round)) return;
                rounds[n] = static_cast<int>(round);
                if (--left != 0) return;
                if (round == 20) return loop->stop();
                ++round;
                left = 64;
                loop->run_soon(ring);
            };
            loop->poll_multishot(*loop->add_file(events[n].fd()), POLLIN, polls[n]);
        }
        loop->run_soon(ring);
    });
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    CHECK(round == 20);
    CHECK(left == 0);
}

TEST_CASE("a read that cannot end is cancelled when the loop stops", "[loop]") {
    auto loop = make_loop();
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const UniqueFd reader = UniqueFd::adopt(ends[0]);
    const UniqueFd writer = UniqueFd::adopt(ends[1]);
    const u32 file = *loop->add_file(reader);
    char byte = 0;
    const iovec part = part_of(&byte, 1);
    CallOperation read;
    CallTimer end([&] { loop->stop(); });
    CallTask begin([&] {
        loop->readv(file, {&part, 1}, 0, read);
        loop->set_timer(end, loop->now_ns() + 1'000'000);
    });
    loop->post(begin);
    NoPoller poller;
    loop->run(poller);
    REQUIRE(read.results.size() == 1);
    CHECK((read.results[0] == -ECANCELED || read.results[0] == -EINTR));
    CHECK_FALSE(read.is_pending());
}
