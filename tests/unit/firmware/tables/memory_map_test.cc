// SPDX-License-Identifier: Apache-2.0
#include "firmware/tables/memory_map.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

struct Row {
    u64 base;
    u64 end;
    u32 type;
    bool operator==(const Row&) const = default;
};

std::vector<Row> rows_of(const MemoryMap& map) {
    std::vector<Row> rows;
    for (const MemoryRange& range : map.ranges())
        rows.push_back({range.base.value, range.base.value + range.size_bytes, static_cast<u32>(range.type)});
    return rows;
}

// e820 types: 1 is RAM, 2 is reserved.
const Row kLow{0, 0x9'fc00, 1};
const Row kEbda{0x9'fc00, 0xa'0000, 2};
const Row kBios{0xe'0000, 0x10'0000, 2};
const Row kEcam{0xe000'0000, 0xe010'0000, 2};

}  // namespace

TEST_CASE("the smallest guest has one megabyte of RAM above the BIOS area", "[memory_map]") {
    const MemoryMap map = MemoryMap::for_ram(0x20'0000);
    CHECK(rows_of(map) == std::vector<Row>{kLow, kEbda, kBios, {0x10'0000, 0x20'0000, 1}, kEcam});
    CHECK(map.low_ram_end() == Gpa{0x20'0000});
}

TEST_CASE("2 GiB of RAM are one range up to 2 GiB", "[memory_map]") {
    const MemoryMap map = MemoryMap::for_ram(0x8000'0000);
    CHECK(rows_of(map) == std::vector<Row>{kLow, kEbda, kBios, {0x10'0000, 0x8000'0000, 1}, kEcam});
    CHECK(map.low_ram_end() == Gpa{0x8000'0000});
}

TEST_CASE("RAM that ends exactly at the hole has nothing above 4 GiB", "[memory_map]") {
    const MemoryMap map = MemoryMap::for_ram(0xc000'0000);
    CHECK(rows_of(map) == std::vector<Row>{kLow, kEbda, kBios, {0x10'0000, 0xc000'0000, 1}, kEcam});
    CHECK(map.low_ram_end() == Gpa{0xc000'0000});
}

TEST_CASE("RAM one page beyond the hole continues with that page at 4 GiB", "[memory_map]") {
    const MemoryMap map = MemoryMap::for_ram(0xc000'1000);
    CHECK(rows_of(map).back() == Row{0x1'0000'0000, 0x1'0000'1000, 1});
    CHECK(map.low_ram_end() == Gpa{0xc000'0000});
}

TEST_CASE("8 GiB of RAM are split by the hole into 3 GiB and 5 GiB", "[memory_map]") {
    const MemoryMap map = MemoryMap::for_ram(0x2'0000'0000);
    CHECK(rows_of(map) ==
          std::vector<Row>{
              kLow, kEbda, kBios, {0x10'0000, 0xc000'0000, 1}, kEcam, {0x1'0000'0000, 0x2'4000'0000, 1}});
}

TEST_CASE("memory map ranges are sorted and do not overlap", "[memory_map]") {
    const u64 ram_bytes = GENERATE(as<u64>{}, 0x20'0000, 0x8000'0000, 0xc000'0000, 0x2'0000'0000);
    const std::vector<Row> rows = rows_of(MemoryMap::for_ram(ram_bytes));
    for (std::size_t i = 1; i < rows.size(); ++i) CHECK(rows[i - 1].end <= rows[i].base);
}
