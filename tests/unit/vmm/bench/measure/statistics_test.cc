// SPDX-License-Identifier: Apache-2.0
// Order statistics, and figures as people read them.
#include "vmm/bench/measure/statistics.h"

#include <numeric>

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("percentiles are nearest-rank: measured values", "[statistics]") {
    std::vector<u64> hundred(100);
    std::iota(hundred.begin(), hundred.end(), u64{1});
    CHECK(percentile(hundred, 1) == 1);
    CHECK(percentile(hundred, 50) == 50);
    CHECK(percentile(hundred, 90) == 90);
    CHECK(percentile(hundred, 99) == 99);
    CHECK(percentile(hundred, 100) == 100);
    const std::vector<u64> five{15, 20, 35, 40, 50};
    CHECK(percentile(five, 5) == 15);
    CHECK(percentile(five, 30) == 20);
    CHECK(percentile(five, 40) == 20);
    CHECK(percentile(five, 50) == 35);
    CHECK(percentile(five, 100) == 50);
}

TEST_CASE("with fewer than a hundred values the 99th percentile is the largest", "[statistics]") {
    for (const u64 count : {1u, 2u, 20u, 99u}) {
        std::vector<u64> values(count);
        std::iota(values.begin(), values.end(), u64{7});
        const std::optional<Summary> summary = summarize(values);
        REQUIRE(summary);
        CHECK(summary->p99 == summary->max);
        CHECK(summary->max == 6 + count);
        CHECK(summary->count == count);
    }
}

TEST_CASE("a summary sorts its values, and no values have no summary", "[statistics]") {
    const std::optional<Summary> summary = summarize({9, 1, 5});
    REQUIRE(summary);
    CHECK(summary->min == 1);
    CHECK(summary->p50 == 5);
    CHECK(summary->max == 9);
    CHECK_FALSE(summarize({}));
}

TEST_CASE("figures keep three digits and a unit that fits", "[statistics]") {
    CHECK(print_figure(0, Unit::Nanoseconds) == "0.00 us");
    CHECK(print_figure(12'600, Unit::Nanoseconds) == "12.6 us");
    CHECK(print_figure(544'040, Unit::Nanoseconds) == "544 us");
    CHECK(print_figure(999'499, Unit::Nanoseconds) == "999 us");
    CHECK(print_figure(999'500, Unit::Nanoseconds) == "1.00 ms");
    CHECK(print_figure(9'996'000, Unit::Nanoseconds) == "10.0 ms");
    CHECK(print_figure(1'234'000'000, Unit::Nanoseconds) == "1.23 s");
    CHECK(print_figure(309, Unit::Count) == "309");
    CHECK(print_figure(512, Unit::Kibibytes) == "512 KiB");
    CHECK(print_figure(1664, Unit::Kibibytes) == "1.62 MiB");
    CHECK(print_figure(3 << 20, Unit::Kibibytes) == "3.00 GiB");
    CHECK(print_ratio(27) == "27.0 x");
    CHECK(print_ratio(0.35) == "0.35 x");
}

TEST_CASE("the mean comes with the deviation of a sample, unless it has one value", "[statistics]") {
    // 2, 4, 4, 4, 5, 5, 7, 9: mean 5, squares 32, of 7.
    const Summary summary = summarize({2, 4, 4, 4, 5, 5, 7, 9}).value();
    CHECK(summary.mean == Approx(5));
    CHECK(summary.deviation.value() == Approx(2.13809));
    CHECK(print_mean(summary, Unit::Count) == "5.00 ± 2.14");
    CHECK_FALSE(summarize({5})->deviation);
    CHECK(print_mean(*summarize({5'000'000}), Unit::Nanoseconds) == "5.00 ms");
    CHECK(print_mean(*summarize({1'000'000, 3'000'000}), Unit::Nanoseconds) == "2.00 ms ± 1.41 ms");
    CHECK(print_mean(*summarize({1024, 1024}), Unit::Kibibytes) == "1.00 MiB ± 0 KiB");
}
