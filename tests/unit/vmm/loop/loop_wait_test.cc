// SPDX-License-Identifier: Apache-2.0
// How the loop waits: polling, sleeping, being woken from other threads. Run under TSan too.
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <semaphore>

#include <poll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <liburing.h>

#include "tests/unit/vmm/loop/loop_fixture.h"
#include "vmm/os/clock.h"

using namespace mayfly;

namespace {

/// A ring in memory that one other thread fills; its doorbell is an eventfd, rung only when asked for.
class OneRing final : public Poller {
  public:
    explicit OneRing(const EventFd& doorbell) : doorbell_(&doorbell) {}

    bool poll() override {
        const u64 there = filled_.load(std::memory_order_acquire);
        if (there == taken_.load(std::memory_order_relaxed)) return false;
        taken_.store(there, std::memory_order_release);
        return true;
    }
    bool prepare_to_sleep() override {
        wants_doorbell_.store(true);
        if (filled_.load() == taken_.load()) return true;
        wants_doorbell_.store(false);
        return false;
    }
    void woke() override { wants_doorbell_.store(false); }

    /// Called by the other thread.
    void fill() {
        filled_.fetch_add(1);
        if (wants_doorbell_.load()) doorbell_->signal();
    }
    [[nodiscard]] u64 filled() const { return filled_.load(); }
    [[nodiscard]] u64 taken() const { return taken_.load(std::memory_order_acquire); }

  private:
    const EventFd* doorbell_;
    std::atomic<u64> filled_ = 0;
    std::atomic<u64> taken_ = 0;
    std::atomic<bool> wants_doorbell_ = false;
};

/// The flags of the only io_uring of this process, which the kernel sets and clears.
class KernelFlags {
  public:
    KernelFlags() {
        io_uring other{};
        io_uring_params params{};
        REQUIRE(::io_uring_queue_init_params(1, &other, &params) == 0);
        ::io_uring_queue_exit(&other);  // every ring has its flags in the same place
        u8* const rings = static_cast<u8*>(
            ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd(), IORING_OFF_SQ_RING));
        REQUIRE(rings != MAP_FAILED);
        REQUIRE(params.sq_off.flags < kBytes);
        page_ = rings;
        flags_ = reinterpret_cast<unsigned*>(rings + params.sq_off.flags);
    }
    KernelFlags(const KernelFlags&) = delete;
    KernelFlags& operator=(const KernelFlags&) = delete;
    ~KernelFlags() { ::munmap(page_, kBytes); }

    void set(unsigned flags) { std::atomic_ref(*flags_).fetch_or(flags); }

  private:
    static constexpr std::size_t kBytes = 4096;

    static int ring_fd() {
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
            if (std::filesystem::read_symlink(entry) == "anon_inode:[io_uring]")
                return std::stoi(entry.path().filename().string());
        FAIL("no io_uring is open");
        return -1;
    }

    void* page_ = nullptr;
    unsigned* flags_ = nullptr;
};

u64 cpu_ns_of_this_thread() { return thread_cpu_ns(); }

}  // namespace

TEST_CASE("no post from another thread is lost, whether the loop sleeps or not", "[loop]") {
    const u64 spin_ns_max = GENERATE(u64{0}, u64{50'000});
    auto loop = make_loop({.spin_ns_max = spin_ns_max});
    std::binary_semaphore ran(0);
    CallTask task([&] { ran.release(); });
    NoPoller poller;
    std::thread thread([&] { loop->run(poller); });
    bool is_lost = false;
    for (u32 n = 0; n < 20'000 && !is_lost; ++n) {
        loop->post(task);
        is_lost = !ran.try_acquire_for(std::chrono::seconds(10));
        // Now and then long enough for it to sleep, else in the middle of its polling.
        if (n % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(n % 256));
    }
    CHECK_FALSE(is_lost);
    loop->stop();
    thread.join();
    CHECK(poller.prepared == poller.woken);
    if (spin_ns_max == 0) CHECK(loop->counts().polls_hit + loop->counts().polls_missed == 0);
}

TEST_CASE("posts from several threads all run, and see what was written before them", "[loop]") {
    constexpr u32 kThreads = 3;
    constexpr u64 kPosts = 20'000;
    auto loop = make_loop();
    struct Counter {
        std::atomic<u64> asked = 0;
        u64 seen = 0;
    };
    std::array<Counter, kThreads> counters;
    std::vector<std::unique_ptr<CallTask>> tasks;
    for (Counter& counter : counters)
        tasks.push_back(std::make_unique<CallTask>(
            [&counter] { counter.seen = counter.asked.load(std::memory_order_relaxed); }));
    NoPoller poller;
    std::thread thread([&] { loop->run(poller); });
    std::vector<std::thread> posters;
    for (u32 n = 0; n < kThreads; ++n)
        posters.emplace_back([&, n] {
            for (u64 i = 1; i <= kPosts; ++i) {
                counters[n].asked.store(i, std::memory_order_relaxed);
                loop->post(*tasks[n]);
            }
        });
    for (std::thread& poster : posters) poster.join();
    CallTask last([&] { loop->stop(); });
    loop->post(last);
    thread.join();
    for (const Counter& counter : counters) CHECK(counter.seen == kPosts);
}

TEST_CASE("no work in a ring is lost around sleeping", "[loop]") {
    const u64 spin_ns_max = GENERATE(u64{0}, u64{20'000});
    auto loop = make_loop({.spin_ns_max = spin_ns_max});
    const EventFd doorbell = *EventFd::create();
    const u32 file = *loop->add_file(doorbell.fd());
    CallOperation on_doorbell;
    loop->poll_multishot(file, POLLIN, on_doorbell);
    OneRing ring(doorbell);
    std::thread thread([&] { loop->run(ring); });
    bool is_lost = false;
    for (u32 n = 0; n < 20'000 && !is_lost; ++n) {
        ring.fill();
        const u64 give_up_ns = monotonic_ns() + 10'000'000'000;
        while (ring.taken() != ring.filled() && !is_lost) {
            is_lost = monotonic_ns() > give_up_ns;
            std::this_thread::yield();
        }
        if (n % 64 == 0) std::this_thread::sleep_for(std::chrono::microseconds(n % 256));
    }
    CHECK_FALSE(is_lost);
    loop->stop();
    thread.join();
}

TEST_CASE("an idle loop sleeps: it does not use the processor", "[loop]") {
    auto loop = make_loop();
    CallTimer end([&] { loop->stop(); });
    loop->set_timer(end, loop->now_ns() + 100'000'000);
    NoPoller poller;
    const u64 before_ns = cpu_ns_of_this_thread();
    loop->run(poller);
    CHECK(cpu_ns_of_this_thread() - before_ns < 5'000'000);
    CHECK(loop->counts().sleeps >= 1);
    CHECK(loop->counts().sleeps <= 3);
    CHECK(poller.prepared == poller.woken);
}

TEST_CASE("a stale kernel flag neither prevents sleep nor hides work", "[loop]") {
    // Linux queues deferred work, then sets IORING_SQ_TASKRUN: work taken in between leaves the flag.
    auto loop = make_loop();
    const EventFd event = *EventFd::create();
    const u32 file = *loop->add_file(event.fd());
    KernelFlags flags;
    flags.set(IORING_SQ_TASKRUN);
    u64 rings = 0;
    CallOperation doorbell([&](i32 result, bool) { rings += result == POLLIN ? 1 : 0; });
    loop->poll_multishot(file, POLLIN, doorbell);
    u32 ticks = 0;
    CallTimer tick([&] {
        CHECK(rings == ticks);
        if (++ticks == 20) return loop->stop();
        flags.set(IORING_SQ_TASKRUN);
        event.signal();
        loop->set_timer(tick, loop->now_ns() + 5'000'000);
    });
    loop->set_timer(tick, loop->now_ns() + 5'000'000);
    NoPoller poller;
    loop->run(poller);
    CHECK(ticks == 20);
    // A few turns for each tick and each event; tens of thousands if each turn believed the flag.
    CHECK(loop->counts().turns <= 300);
    CHECK(loop->counts().enters <= 300);
}

TEST_CASE("with long pauses between work the loop stops polling", "[loop]") {
    // A stall of the host between two sleeps shortens a pause, even to nothing.
    constexpr u32 kRounds = 200;
    constexpr u32 kStallsMax = 50;
    auto loop = make_loop();
    u32 rounds = 0;
    CallTimer tick([&] {
        if (++rounds == kRounds) return loop->stop();
        loop->set_timer(tick, loop->now_ns() + 1'000'000);
    });
    loop->set_timer(tick, loop->now_ns() + 1'000'000);
    NoPoller poller;
    loop->run(poller);
    // From 50 us by halves below 4 us: 50, 25, 12.5, 6.25. Otherwise every round would poll.
    CHECK(loop->counts().polls_missed <= kStallsMax + 5);
    CHECK(loop->counts().sleeps >= kRounds - kStallsMax);
}

TEST_CASE("a poller that finds work when it should sleep is polled again without sleeping", "[loop]") {
    class Refuses final : public Poller {
      public:
        explicit Refuses(Loop& loop) : loop_(&loop) {}
        bool poll() override {
            if (refusals == 5) loop_->stop();
            return false;
        }
        bool prepare_to_sleep() override {
            ++refusals;
            return false;
        }
        void woke() override { is_woken = true; }
        int refusals = 0;
        bool is_woken = false;

      private:
        Loop* loop_;
    };
    auto loop = make_loop();
    Refuses poller(*loop);
    loop->run(poller);
    CHECK(poller.refusals == 5);
    CHECK_FALSE(poller.is_woken);
    CHECK(loop->counts().sleeps == 0);
}
