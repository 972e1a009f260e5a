// SPDX-License-Identifier: Apache-2.0
// A driver thread and a device thread that sleep whenever the other has nothing for them: no wake-up, no
// buffer and no byte may be lost.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "tests/unit/devices/virtio/queue/queue_pair.h"

namespace {

using namespace mayfly;

/// Behaves like an eventfd: remembers that it was rung.
class Doorbell {
  public:
    void ring() {
        const std::lock_guard lock(mutex_);
        is_rung_ = true;
        condition_.notify_one();
    }
    /// False when the bell was silent for so long that no ring will come.
    [[nodiscard]] bool wait() {
        std::unique_lock lock(mutex_);
        const bool was_rung = condition_.wait_for(lock, std::chrono::seconds(20), [&] { return is_rung_; });
        is_rung_ = false;
        return was_rung;
    }

  private:
    std::mutex mutex_;
    std::condition_variable condition_;
    bool is_rung_ = false;
};

constexpr u32 kBuffers = 1'000'000;

struct Totals {
    u64 sleeps = 0;
    u64 errors = 0;
    bool was_lost = false;
};

void run_device(VirtQueue& queue, Doorbell& doorbell, Doorbell& interrupt, Totals& totals) {
    std::array<iovec, 4> storage{};
    for (u32 done = 0; done < kBuffers;) {
        queue.suppress_doorbells();
        for (int budget = 64; budget > 0; --budget) {
            const auto [result, chain] = queue.pop(storage);
            if (result != PopResult::Chain) break;
            const auto serial = read_from_parts<u32>(chain.readable, 0);
            if (serial != done) ++totals.errors;
            queue.push(chain.token, serial.value_or(0));
            ++done;
        }
        if (queue.publish()) interrupt.ring();
        if (queue.is_broken()) ++totals.errors;
        if (done == kBuffers || queue.rearm_doorbells()) continue;
        ++totals.sleeps;
        if (!doorbell.wait()) {
            totals.was_lost = true;
            return;
        }
    }
}

void run_driver(TestRam& ram, u16 size, DriverQueue& driver, Doorbell& doorbell, Doorbell& interrupt,
                Totals& totals) {
    const Gpa slots = ram.allocate(u64{4} * size);
    u32 added = 0;
    for (u32 taken = 0; taken < kBuffers;) {
        for (; driver.room() > 0 && added < kBuffers; ++added) {
            const Gpa slot = slots + u64{4} * (added % size);
            *ram.at<u32>(slot) = added;
            driver.write_one(slot, 4, false);
        }
        driver.show();
        if (driver.must_ring()) doorbell.ring();
        driver.refuse_interrupts();
        for (; const auto used = driver.take_used(); ++taken)
            if (used->written_bytes != taken) ++totals.errors;
        if (taken == kBuffers || driver.room() == size || driver.want_interrupt()) continue;
        ++totals.sleeps;
        if (!interrupt.wait()) {
            totals.was_lost = true;
            return;
        }
    }
}

TEST_CASE("two threads lose no buffer and no wake-up", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    const bool has_event_idx = GENERATE(false, true);
    const u16 size = has_event_idx ? 256 : 16;
    TestRam ram(u64{1} << 18);
    DriverQueue driver(ram, {.size = size, .is_packed = is_packed, .has_event_idx = has_event_idx});
    VirtQueue queue(ram.memory());
    REQUIRE(queue.start(driver.setup()));
    Doorbell doorbell;
    Doorbell interrupt;
    Totals device_totals;
    Totals driver_totals;
    std::thread device([&] { run_device(queue, doorbell, interrupt, device_totals); });
    run_driver(ram, size, driver, doorbell, interrupt, driver_totals);
    device.join();
    INFO("packed " << is_packed << ", event idx " << has_event_idx << ", device slept "
                   << device_totals.sleeps << ", driver slept " << driver_totals.sleeps);
    REQUIRE_FALSE(device_totals.was_lost);
    REQUIRE_FALSE(driver_totals.was_lost);
    REQUIRE(device_totals.errors == 0);
    REQUIRE(driver_totals.errors == 0);
    REQUIRE(queue.counts.requests == kBuffers);
    REQUIRE_FALSE(queue.has_work());
}

TEST_CASE("has_work() may be asked by any thread while a queue comes and goes", "[queue]") {
    QueuePair it({.is_packed = GENERATE(false, true)});
    std::atomic<bool> is_over = false;
    std::atomic<u64> answers = 0;
    std::thread poller([&] {
        while (!is_over) answers += it.queue.has_work() ? 1 : 2;
    });
    while (answers == 0) std::this_thread::yield();
    for (int i = 0; i < 20000; ++i) {
        it.driver.write_one(Gpa{0x100}, 1, false);
        it.driver.show();
        it.use(1);
        (void)it.queue.publish();
        (void)it.driver.take_used();
        if (i % 100 == 0) {
            it.queue.stop();
            it.driver.restart();
            if (!it.queue.start(it.driver.setup())) FAIL("at " << i);
        }
    }
    is_over = true;
    poller.join();
    REQUIRE_FALSE(it.queue.is_broken());
    REQUIRE(it.queue.counts.requests == 20000);
}

/// Writes nonsense, and more often plausible values, anywhere in the rings.
class Scribbler {
  public:
    Scribbler(TestRam& ram, const DriverQueue& driver, u16 size, bool is_packed, u64 seed)
        : ram_(ram), driver_(driver), size_(size), is_packed_(is_packed), random_(seed) {}

    void write() {
        const u64 value = random_();
        const Gpa descriptor = driver_.descriptor_at(static_cast<u16>((value >> 8) % size_));
        switch (value & 31) {
            case 0: return store<u64>(descriptor, value >> (20 + value % 44));
            case 1: return store<u32>(descriptor + 8, static_cast<u32>(value >> (32 + value % 30)));
            case 2: return store<u16>(descriptor + 12, static_cast<u16>((value >> 24) & 7));
            case 3: return store<u16>(descriptor + 14, static_cast<u16>((value >> 24) & 0x8087));
            default: break;
        }
        store<u64>(descriptor, 0x100);
        store<u32>(descriptor + 8, 16);
        if (is_packed_) return store<u16>(descriptor + 14, (value & 32) != 0 ? 0x80 : 0x8000);
        store<u16>(descriptor + 12, (value & 32) != 0 ? 1 : 0);
        __atomic_fetch_add(ram_.at<u16>(driver_.avail_idx_at()), u16{1}, __ATOMIC_RELAXED);
    }

  private:
    template <typename T>
    void store(Gpa at, T value) {
        __atomic_store_n(ram_.at<T>(at), value, __ATOMIC_RELAXED);
    }

    TestRam& ram_;
    const DriverQueue& driver_;
    u16 size_;
    bool is_packed_;
    std::mt19937_64 random_;
};

TEST_CASE("a driver that rewrites rings while they are read harms nothing", "[queue]") {
    const bool is_packed = GENERATE(false, true);
    constexpr u16 kSize = 16;
    TestRam ram(u64{1} << 16);
    DriverQueue driver(ram,
                       {.size = kSize, .is_packed = is_packed, .has_event_idx = true, .has_indirect = true});
    VirtQueue queue(ram.memory());
    std::atomic<bool> is_over = false;
    std::thread other([&] {
        Scribbler scribbler(ram, driver, kSize, is_packed, 7);
        while (!is_over) scribbler.write();
    });
    // This thread writes too, because the other may not get its turn on a busy host.
    Scribbler scribbler(ram, driver, kSize, is_packed, 8);
    std::array<iovec, 8> storage{};
    u64 chains = 0;
    u64 breaks = 0;
    u64 outside = 0;
    const auto* start = ram.at(Gpa{0});
    for (int round = 0; round < 20000; ++round) {
        // The driver's index begins anew, like the device's.
        __atomic_store_n(ram.at<u16>(driver.avail_idx_at()), u16{0}, __ATOMIC_RELAXED);
        if (!queue.start(driver.setup())) break;
        for (int i = 0; i < 30 && !queue.is_broken(); ++i) {
            scribbler.write();
            const auto [result, chain] = queue.pop(storage);
            if (result != PopResult::Chain) continue;
            for (const auto& parts : {chain.readable, chain.writable})
                for (const iovec& part : parts)
                    if (part.iov_base < start || part.iov_len > ram.low_bytes() ||
                        static_cast<std::byte*>(part.iov_base) + part.iov_len > start + ram.low_bytes())
                        ++outside;
            queue.push(chain.token, 1);
            (void)queue.publish();
            ++chains;
        }
        breaks += queue.is_broken() ? 1 : 0;
    }
    is_over = true;
    other.join();
    INFO("packed " << is_packed << ": " << chains << " chains, broken " << breaks << " times");
    REQUIRE(outside == 0);
    REQUIRE(chains > 100);
    REQUIRE(breaks > 100);
}

}  // namespace
