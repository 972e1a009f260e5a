// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/written_sectors.h"

#include <random>
#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

WrittenSectors make(u64 count) {
    auto sectors = WrittenSectors::create(count);
    REQUIRE(sectors.has_value());
    return std::move(*sectors);
}

}  // namespace

TEST_CASE("no sector of a new disk was written", "[disk]") {
    const WrittenSectors sectors = make(1000);
    CHECK_FALSE(sectors.has(0));
    CHECK_FALSE(sectors.has(999));
    CHECK(sectors.run_length(0, 1000) == 1000);
    CHECK(sectors.run_length(999, 1) == 1);
    CHECK(sectors.run_length(5, 0) == 0);
}

TEST_CASE("sectors are written and dropped, and runs found, as by one flag for each", "[disk]") {
    constexpr u64 kCount = 700;
    WrittenSectors sectors = make(kCount);
    std::vector<bool> flags(kCount);
    std::mt19937 lot(1);
    for (u32 n = 0; n < 5'000; ++n) {
        const u64 first = lot() % kCount;
        // Long, short, and often to the edge of a word.
        const u64 most = n % 3 == 0 ? kCount : n % 3 == 1 ? 3 : 64 - first % 64;
        const u64 count = lot() % (std::min(most, kCount - first) + 1);
        const bool sets = lot() % 2 == 0;
        if (sets)
            sectors.set(first, count);
        else
            sectors.clear(first, count);
        for (u64 at = first; at < first + count; ++at) flags[at] = sets;
        const u64 from = lot() % kCount;
        u64 same = 0;
        while (from + same < kCount && flags[from + same] == flags[from]) ++same;
        REQUIRE(sectors.has(from) == flags[from]);
        REQUIRE(sectors.run_length(from, kCount - from) == same);
        REQUIRE(sectors.run_length(from, std::min<u64>(same, 2)) == std::min<u64>(same, 2));
    }
}

TEST_CASE("the sectors of the largest file there can be need no memory", "[disk]") {
    WrittenSectors sectors = make(u64{1} << 44);
    sectors.set((u64{1} << 44) - 1, 1);
    CHECK(sectors.has((u64{1} << 44) - 1));
    CHECK_FALSE(sectors.has((u64{1} << 44) - 2));
}
