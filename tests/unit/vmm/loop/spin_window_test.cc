// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/spin_window.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("long sleeps end polling, short ones start it again", "[loop]") {
    SpinWindow window(50'000);
    CHECK(window.ns() == 50'000);
    for (int n = 0; n < 4; ++n) window.slept(1'000'000);
    CHECK(window.ns() == 0);
    window.slept(20'000);
    CHECK(window.ns() == 4'000);
    window.slept(20'000);
    CHECK(window.ns() == 8'000);
    window.slept(20'000);
    window.hit();
    window.slept(20'000);
    window.slept(20'000);
    CHECK(window.ns() == 50'000);
}

TEST_CASE("polling that never pays is suspended, ever longer, even if work comes soon", "[loop]") {
    SpinWindow window(50'000);
    u32 looked = 0;
    for (u32 n = 0; n < 10'000; ++n) {
        looked += window.ns() != 0;
        window.slept(window.ns() + 5'000);
    }
    // Four tries, then one after each of 16, 32, ... 4096 sleeps.
    CHECK(looked >= 4 + 8);
    CHECK(looked <= 4 + 12);
}

TEST_CASE("polling that pays now and then goes on", "[loop]") {
    SpinWindow window(50'000);
    for (u32 n = 0; n < 1'000; ++n) {
        REQUIRE(window.ns() == 50'000);
        if (n % 3 == 0)
            window.hit();
        else
            window.slept(60'000);
    }
}

TEST_CASE("a window of 0 stays 0", "[loop]") {
    SpinWindow window(0);
    for (int n = 0; n < 10; ++n) window.slept(0);
    CHECK(window.ns() == 0);
}
