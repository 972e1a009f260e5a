// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/slow_gate.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr u64 kMs = 1'000'000;

/// One call that begins at `now` and takes `ms`. \returns when it ended.
u64 call(SlowGate& gate, u64 now, u64 ms) {
    gate.took(now, now + ms * kMs);
    return now + ms * kMs;
}

}  // namespace

TEST_CASE("one slow call does not close the gate, a second soon after does", "[disk]") {
    SlowGate gate;
    u64 now = call(gate, 0, 50);
    CHECK(gate.is_open(now));
    now = call(gate, now, 50);
    CHECK_FALSE(gate.is_open(now));
    CHECK_FALSE(gate.is_open(now + 99 * kMs));
    CHECK(gate.is_open(now + 100 * kMs));
}

TEST_CASE("slow calls with many quick ones between them keep the gate open", "[disk]") {
    SlowGate gate;
    u64 now = 0;
    for (int round = 0; round < 10; ++round) {
        now = call(gate, now, 5);
        for (int n = 0; n < 100; ++n) now = call(gate, now, 0);
    }
    CHECK(gate.is_open(now));
}

TEST_CASE("a gate that closes again and again stays closed longer, up to a limit", "[disk]") {
    SlowGate gate;
    u64 now = 0;
    u64 closed_ms = 0;
    for (int round = 0; round < 10; ++round) {
        now = call(gate, now, 5);
        now = call(gate, now, 5);
        closed_ms = 0;
        while (!gate.is_open(now)) {
            now += 10 * kMs;
            closed_ms += 10;
        }
        if (round == 1) CHECK(closed_ms == 200);
    }
    CHECK(closed_ms == 3200);
    now = call(gate, now + 3200 * kMs, 0);
    now = call(gate, now, 5);
    now = call(gate, now, 5);
    CHECK(gate.is_open(now + 100 * kMs));
}
