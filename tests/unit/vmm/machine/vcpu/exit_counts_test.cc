// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/vcpu/exit_counts.h"

#include <memory>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

const AddressCount* row_of(const ExitCounts& counts, ExitSpace space, u64 address) {
    for (const AddressCount& row : counts.rows())
        if (row.returns != 0 && row.space == space && row.address == address) return &row;
    return nullptr;
}

u64 returns_in_rows(const ExitCounts& counts) {
    u64 sum = 0;
    for (const AddressCount& row : counts.rows()) sum += row.returns;
    return sum;
}

}  // namespace

TEST_CASE("returns are counted by reason", "[exit_counts]") {
    ExitCounts counts;
    counts.count_reason(2);
    counts.count_reason(2);
    counts.count_reason(6);
    CHECK(counts.by_reason()[2] == 2);
    CHECK(counts.by_reason()[6] == 1);
    CHECK(counts.returns() == 3);
}

TEST_CASE("a reason beyond the table is counted in its last row", "[exit_counts]") {
    ExitCounts counts;
    counts.count_reason(64);
    counts.count_reason(0xffff'ffff);
    CHECK(counts.returns() == 2);
    CHECK(counts.by_reason().back() == 2);
}

TEST_CASE("ports are counted singly, MMIO by its page, each direction separately", "[exit_counts]") {
    ExitCounts counts;
    counts.count_address(ExitSpace::PortOut, 0x3f8, 1);
    counts.count_address(ExitSpace::PortOut, 0x3f8, 16);
    counts.count_address(ExitSpace::PortIn, 0x3f8, 1);
    counts.count_address(ExitSpace::MmioWrite, 0xc000'0004, 4);
    counts.count_address(ExitSpace::MmioWrite, 0xc000'0ff8, 8);
    const AddressCount* out = row_of(counts, ExitSpace::PortOut, 0x3f8);
    REQUIRE(out != nullptr);
    CHECK(out->returns == 2);
    CHECK(out->bytes == 17);
    REQUIRE(row_of(counts, ExitSpace::PortIn, 0x3f8) != nullptr);
    const AddressCount* page = row_of(counts, ExitSpace::MmioWrite, 0xc000'0000);
    REQUIRE(page != nullptr);
    CHECK(page->returns == 2);
    CHECK(page->bytes == 12);
}

TEST_CASE("a sweep of every port loses no return", "[exit_counts]") {
    const auto counts = std::make_unique<ExitCounts>();
    for (u64 port = 0; port < 0x10000; ++port) counts->count_address(ExitSpace::PortOut, port, 1);
    CHECK(returns_in_rows(*counts) + counts->elsewhere() == 0x10000);
    CHECK(counts->elsewhere() > 0);
}

TEST_CASE("the counts of several vCPUs add up", "[exit_counts]") {
    const auto one = std::make_unique<ExitCounts>();
    const auto two = std::make_unique<ExitCounts>();
    const auto sum = std::make_unique<ExitCounts>();
    for (u64 port = 0; port < 300; ++port) {
        one->count_reason(2);
        one->count_address(ExitSpace::PortIn, port, 2);
        two->count_reason(2);
        two->count_address(ExitSpace::PortIn, port * 7, 2);
    }
    two->count_interrupted();
    sum->add(*one);
    sum->add(*two);
    CHECK(sum->returns() == 600);
    CHECK(sum->interrupted() == 1);
    CHECK(returns_in_rows(*sum) + sum->elsewhere() == 600);
}
