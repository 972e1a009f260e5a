// SPDX-License-Identifier: Apache-2.0
// memory: walks the memory map; writes the first and the last page of each range of RAM.
#include "firmware/guests/runtime/boot_info.h"

namespace guest {
namespace {

constexpr u32 kTypeRam = 1;
constexpr u64 kPage = 0x1000;

/// Writes a word and takes it back: the page may be in use.
bool keeps_what_is_written(u64 address) {
    map_address(address);
    // SAFETY: RAM by the memory map, just mapped. The first words of a page of our own image are
    // not code that runs here, and the old value comes back.
    auto* word = reinterpret_cast<volatile u64*>(address);
    const u64 before = *word;
    *word = ~before;
    const bool kept = *word == ~before;
    *word = before;
    return kept && *word == before;
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    MemoryMapWalk walk;
    MemoryRange range{};
    u64 total_bytes = 0;
    u64 previous_end = 0;
    u32 ranges = 0;
    bool is_sorted = true;
    while (walk.next(range)) {
        if (range.first < previous_end) is_sorted = false;
        previous_end = range.first + range.size_bytes;
        if (range.type != kTypeRam) continue;
        ++ranges;
        total_bytes += range.size_bytes;
        Line{}.add("ram ").add_hex(range.first).add(" ").add_hex(range.size_bytes).print_line();
        const u64 first = align_up(range.first, kPage);
        const u64 last = align_down(previous_end, kPage) - kPage;
        if (!keeps_what_is_written(first)) fail("first page");
        if (!keeps_what_is_written(last)) fail("last page");
    }
    expect("sorted", is_sorted);
    expect("has ram", ranges != 0);
    Line{}.add("total ").add_decimal(total_bytes >> 10).add(" KiB").print_line();
    return failure_count();
}
