// SPDX-License-Identifier: Apache-2.0
// A LAPIC's timer after its machine was away.
#include "vmm/kvm/state/lapic_timer.h"

#include <cstring>

#include <catch2/catch.hpp>

#include "vmm/error/ints.h"

using namespace mayfly;

namespace {

// Intel SDM Vol. 3A §11.4.1 "The Local APIC Block Diagram", table 11-1.
constexpr u32 kTriggerMode = 0x180;
constexpr u32 kRequests = 0x200;
constexpr u32 kTimerEntry = 0x320;
constexpr u32 kInitialCount = 0x380;
constexpr u32 kCurrentCount = 0x390;
constexpr u32 kDivide = 0x3e0;

constexpr u32 kVector = 0x45;  // bit 5 of the third register of eight
constexpr u32 kVectorPlace = 2 * 0x10;
constexpr u32 kVectorBit = 1U << 5;
constexpr u32 kMasked = 1U << 16;
constexpr u32 kPeriodic = 1U << 17;
constexpr u32 kDeadline = 2U << 17;
constexpr u32 kDivideBy1 = 0b1011;
constexpr u32 kDivideBy16 = 0b0011;
constexpr u64 kHour = 3'600'000'000'000;

struct Lapic {
    kvm_lapic_state state{};

    Lapic(u32 entry, u32 initial, u32 current, u32 divide = kDivideBy1) {
        set(kTimerEntry, entry);
        set(kInitialCount, initial);
        set(kCurrentCount, current);
        set(kDivide, divide);
    }
    explicit Lapic(const kvm_lapic_state& other) : state(other) {}
    void set(u32 offset, u32 value) { std::memcpy(state.regs + offset, &value, sizeof value); }
    [[nodiscard]] u32 get(u32 offset) const {
        u32 value = 0;
        std::memcpy(&value, state.regs + offset, sizeof value);
        return value;
    }
    [[nodiscard]] Lapic later(u64 ns) const { return Lapic(lapic_later(state, ns)); }
    [[nodiscard]] bool has_request() const {
        bool has_other = false;
        for (u32 place = 0; place < 8 * 0x10; place += 0x10)
            has_other =
                has_other || (get(kRequests + place) & ~(place == kVectorPlace ? kVectorBit : 0)) != 0;
        CHECK_FALSE(has_other);
        return (get(kRequests + kVectorPlace) & kVectorBit) != 0;
    }
};

bool operator==(const Lapic& a, const Lapic& b) { return std::memcmp(&a.state, &b.state, sizeof a) == 0; }

}  // namespace

TEST_CASE("a one-shot timer continues with its rest, and fires once", "[kvm_state]") {
    const Lapic before(kVector, 1000, 700);
    CHECK(before.later(0) == before);
    CHECK(before.later(300).get(kCurrentCount) == 400);
    CHECK(before.later(699).get(kCurrentCount) == 1);
    CHECK_FALSE(before.later(699).has_request());
    for (const u64 ns : {u64{700}, u64{701}, kHour, ~u64{0}}) {
        const Lapic after = before.later(ns);
        CHECK(after.has_request());
        CHECK(after.get(kCurrentCount) == 0);
        CHECK(after.get(kInitialCount) == 0);  // else KVM fires it again
        CHECK(after.later(ns) == after);
    }
}

TEST_CASE("a divided count is rounded to be late, not early", "[kvm_state]") {
    const Lapic before(kVector, 1000, 10, kDivideBy16);
    CHECK(before.later(16).get(kCurrentCount) == 9);
    CHECK(before.later(17).get(kCurrentCount) == 9);
    CHECK(before.later(159).get(kCurrentCount) == 1);
    CHECK_FALSE(before.later(159).has_request());
    CHECK(before.later(160).has_request());
    // Intel SDM Vol. 3A, figure 11-10 "Divide Configuration Register".
    const u32 dividers[][2] = {{0b0000, 2},  {0b0001, 4},  {0b0010, 8},   {0b0011, 16},
                               {0b1000, 32}, {0b1001, 64}, {0b1010, 128}, {0b1011, 1}};
    for (const auto& [divide, by] : dividers)
        CHECK(Lapic(kVector, 1000, 1000, divide).later(500 * by).get(kCurrentCount) == 500);
}

TEST_CASE("a periodic timer fires once for all that it missed, and keeps its phase", "[kvm_state]") {
    const Lapic before(kVector | kPeriodic, 1000, 700);
    CHECK(before.later(699).get(kCurrentCount) == 1);
    CHECK_FALSE(before.later(699).has_request());
    const u64 leaps[][2] = {{700, 1000}, {701, 999}, {1699, 1}, {1700, 1000}, {1'000'000'700, 1000}};
    for (const auto& [ns, left] : leaps) {
        const Lapic after = before.later(ns);
        CHECK(after.has_request());
        CHECK(after.get(kCurrentCount) == left);
        CHECK(after.get(kInitialCount) == 1000);
    }
}

TEST_CASE("the interrupt of a timer that came due is an edge, and none when it is masked", "[kvm_state]") {
    Lapic before(kVector, 1000, 700);
    before.set(kTriggerMode + kVectorPlace, ~0U);
    CHECK(before.later(kHour).get(kTriggerMode + kVectorPlace) == ~kVectorBit);
    const Lapic masked = Lapic(kVector | kMasked, 1000, 700).later(kHour);
    CHECK_FALSE(masked.has_request());
    CHECK(masked.get(kCurrentCount) == 0);
    CHECK_FALSE(Lapic(15, 1000, 700).later(kHour).has_request());  // the vectors below 16 are not valid
}

TEST_CASE("timers that do not count are left alone", "[kvm_state]") {
    for (const Lapic& before : {Lapic(kVector | kDeadline, 1000, 700), Lapic(kVector | 3U << 17, 1000, 700),
                                Lapic(kVector, 0, 0), Lapic(kVector | kPeriodic, 0, 0),
                                // KVM may still hold this one's interrupt.
                                Lapic(kVector, 1000, 0)})
        CHECK(before.later(kHour) == before);
    // No guest leaves this behind.
    CHECK(Lapic(kVector | kPeriodic, 0, 700).later(kHour).get(kCurrentCount) == 0);
}
