// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/restart_policy.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr u64 kMs = 1'000'000;
constexpr u64 kSecond = 1000 * kMs;

}  // namespace

TEST_CASE("restart policy: five in a minute, each later than the one before, then none", "[restart_policy]") {
    RestartPolicy policy;
    u64 now_ns = 5 * kSecond;
    for (const u64 delay_ms : {100u, 200u, 400u, 800u, 1600u}) {
        CHECK(policy.delay_after_end(now_ns) == delay_ms * kMs);
        now_ns += delay_ms * kMs;
    }
    CHECK_FALSE(policy.delay_after_end(now_ns));
}

TEST_CASE("restart policy: ends long ago do not count", "[restart_policy]") {
    RestartPolicy policy;
    for (u64 i = 0; i < 100; ++i) CHECK(policy.delay_after_end(i * 61 * kSecond) == 100 * kMs);
    // Four within the minute of the last.
    const u64 last_ns = 99 * 61 * kSecond;
    for (const u64 delay_ms : {200u, 400u, 800u, 1600u})
        CHECK(policy.delay_after_end(last_ns + 30 * kSecond) == delay_ms * kMs);
    CHECK_FALSE(policy.delay_after_end(last_ns + 59 * kSecond));
    CHECK(policy.delay_after_end(last_ns + 60 * kSecond) == 1600 * kMs);
    CHECK_FALSE(policy.delay_after_end(last_ns + 61 * kSecond));
}
