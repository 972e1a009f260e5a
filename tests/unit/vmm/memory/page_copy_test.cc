// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/page_copy.h"

#include <algorithm>
#include <span>
#include <utility>

#include <catch2/catch.hpp>

#include "vmm/os/mapping.h"

using namespace mayfly;

namespace {

constexpr u64 kPage = 4096;

/// Pages of zeros, as the kernel hands them out.
Mapping fresh(u64 pages) {
    Result<Mapping> made = Mapping::anonymous(pages * kPage);
    REQUIRE(made);
    return std::move(*made);
}

}  // namespace

TEST_CASE("a page with one byte that is not zero is copied, wherever that byte is", "[page_copy]") {
    const Mapping from = fresh(1);
    const Mapping to = fresh(1);
    u64 lost = 0;
    for (u64 at = 0; at != kPage; ++at) {
        from.bytes()[at] = std::byte{0x80};
        copy_to_fresh_pages(to.bytes().data(), from.bytes().data(), kPage);
        lost += to.bytes()[at] != std::byte{0x80};
        from.bytes()[at] = to.bytes()[at] = std::byte{0};
    }
    CHECK(lost == 0);
}

TEST_CASE("a copy that begins and ends within pages is exact", "[page_copy]") {
    const Mapping from = fresh(4);
    const Mapping to = fresh(4);
    std::ranges::fill(from.bytes(), std::byte{0x5a});
    // One page of zeros between.
    std::ranges::fill(from.bytes().subspan(kPage, kPage), std::byte{0});
    const u64 head = GENERATE(u64{0}, u64{1}, u64{100}, u64{4095});
    const u64 size = GENERATE(u64{0}, u64{1}, u64{4096}, u64{8191}, u64{3 * 4096});
    copy_to_fresh_pages(to.bytes().data() + head, from.bytes().data() + head, size);
    CHECK(std::ranges::equal(to.bytes().subspan(head, size), from.bytes().subspan(head, size)));
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    CHECK(std::ranges::all_of(to.bytes().first(head), is_zero));
    CHECK(std::ranges::all_of(to.bytes().subspan(head + size), is_zero));
}

TEST_CASE("a page of zeros is not written", "[page_copy]") {
    const Mapping from = fresh(1);
    const Mapping to = fresh(1);
    // An old byte shows it: the call leaves it, because callers promise zeros.
    to.bytes()[7] = std::byte{1};
    copy_to_fresh_pages(to.bytes().data(), from.bytes().data(), kPage);
    CHECK(to.bytes()[7] == std::byte{1});
}
