// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/io/rewiring_limit.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

u64 g_now_ns;
u64 test_clock() { return g_now_ns; }

int take_all(RewiringLimit& limit, int tries) {
    int granted = 0;
    for (int i = 0; i < tries; ++i) granted += limit.take() ? 1 : 0;
    return granted;
}

}  // namespace

TEST_CASE("rewiring: 64 at once, then 20 a second, however many requests come", "[rewiring]") {
    g_now_ns = 1'000'000'000;
    RewiringLimit limit(test_clock);
    CHECK(take_all(limit, 1000) == 64);
    g_now_ns += 49'000'000;
    CHECK(take_all(limit, 1000) == 0);
    g_now_ns += 1'000'000;
    CHECK(take_all(limit, 1000) == 1);
    int granted = 0;
    for (int ms = 0; ms < 1000; ++ms) {
        g_now_ns += 1'000'000;
        granted += take_all(limit, 10);
    }
    CHECK(granted == 20);
    CHECK(limit.counts().granted == 64 + 1 + 20);
    CHECK(limit.counts().put_off == 3000 + 10000 - 85);
    // After a pause the whole burst is available again.
    g_now_ns += 10'000'000'000;
    CHECK(take_all(limit, 1000) == 64);
}
