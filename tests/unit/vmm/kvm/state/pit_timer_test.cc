// SPDX-License-Identifier: Apache-2.0
// An 8254's counts after its machine was away.
#include "vmm/kvm/state/pit_timer.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr u64 kMillisecond = 1'000'000;
constexpr u32 kMillisecondTicks = 1193;  // of 1.193182 MHz: 999.8 us
constexpr u64 kDay = 86'400'000'000'000;

/// A counter of `milliseconds` that was loaded `age_ns` ago.
PitState counter(std::size_t number, u8 mode, u32 milliseconds, u64 age_ns) {
    PitState state;
    state.kvm.channels[number].mode = mode;
    state.kvm.channels[number].count = milliseconds * kMillisecondTicks;
    state.ages_ns[number] = age_ns;
    return state;
}

}  // namespace

TEST_CASE("a one-shot counter continues with its rest", "[kvm_state]") {
    for (const u8 mode : {u8{0}, u8{1}, u8{4}, u8{5}}) {
        for (std::size_t number = 0; number < PitState::kCounters; ++number) {
            const PitState state = counter(number, mode, 10, 3 * kMillisecond);
            // 3 ms are 3579.5 counts, 7 ms 8352.3: rounded to be late, not early.
            CHECK(pit_later(state, 0).kvm.channels[number].count == 11930 - 3579);
            CHECK(pit_later(state, 4 * kMillisecond).kvm.channels[number].count == 11930 - 8352);
            // Its time came while it was away: at once.
            for (const u64 away_ns : {8 * kMillisecond, kDay, ~u64{0}})
                CHECK(pit_later(state, away_ns).kvm.channels[number].count == 1);
            CHECK_FALSE(pit_later(state, kDay).has_ticked);
        }
    }
}

TEST_CASE("an expired counter stays expired, or fires as late as possible", "[kvm_state]") {
    for (const u64 away_ns : {u64{0}, kDay}) {
        CHECK(pit_later(counter(0, 0, 10, 11 * kMillisecond), away_ns).kvm.channels[0].count == 0x1'0000);
        CHECK(pit_later(counter(2, 0, 10, 11 * kMillisecond), away_ns).kvm.channels[2].count == 1);
    }
}

TEST_CASE("a periodic counter keeps its period, and ticks once for all that it missed", "[kvm_state]") {
    for (const u8 mode : {u8{2}, u8{3}}) {
        const PitState state = counter(0, mode, 10, 33 * kMillisecond);
        CHECK_FALSE(pit_later(state, 0).has_ticked);
        CHECK_FALSE(pit_later(state, 6 * kMillisecond).has_ticked);
        CHECK(pit_later(state, 7 * kMillisecond).has_ticked);
        CHECK(pit_later(state, kDay).has_ticked);
        CHECK(pit_later(state, kDay).kvm.channels[0].count == 10 * kMillisecondTicks);
        // Counter 2 interrupts nobody.
        CHECK_FALSE(pit_later(counter(2, mode, 10, 33 * kMillisecond), kDay).has_ticked);
    }
}

TEST_CASE("a count of 0 is the longest", "[kvm_state]") {
    CHECK_FALSE(pit_later(counter(0, 2, 0, 0), 54 * kMillisecond).has_ticked);
    CHECK(pit_later(counter(0, 2, 0, 0), 55 * kMillisecond).has_ticked);
    CHECK(pit_later(counter(0, 0, 0, 0), 0).kvm.channels[0].count == 0x1'0000);
}
