// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/occupancy.h"

#include <algorithm>
#include <array>

#include "firmware/image/refuse.h"
#include "firmware/layout.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

struct Row {
    Gpa base;
    u64 size_bytes;
    const char* what;
};

/// Tables at fixed places, because kernels search for them without a pointer.
constexpr std::array<Row, 3> kFixedRows{{
    {layout::kEbda, layout::kVgaHole - layout::kEbda, "the extended BIOS data area"},
    {layout::kAcpi, layout::kAcpiBytes, "the ACPI tables"},
    {layout::kMpTable, layout::kMpTableBytes, "the MP table"},
}};

/// Neither range is empty or wraps.
bool overlaps(Gpa a, u64 a_bytes, Gpa b, u64 b_bytes) { return a < b ? b - a < a_bytes : a - b < b_bytes; }

}  // namespace

std::string print_range(Gpa base, u64 size_bytes) {
    return fmt::format("{:#x}-{:#x}", base.value, base.value + (size_bytes - 1));
}

const Occupancy::Claim* Occupancy::find_claim(Gpa base, u64 size_bytes) const {
    if (size_bytes == 0) return nullptr;
    for (const Claim& claim : claims_)
        if (overlaps(base, size_bytes, claim.base, claim.size_bytes)) return &claim;
    return nullptr;
}

Result<void> Occupancy::claim(Gpa base, u64 size_bytes, std::string_view what) {
    if (size_bytes == 0) return {};
    if (size_bytes - 1 > ~u64{0} - base.value)
        return refuse("{} of {:#x} bytes at {:#x} wraps around the end of the address space", what,
                      size_bytes, base.value);
    const std::string range = print_range(base, size_bytes);
    if (!memory_.contains(base, size_bytes)) {
        const bool has_hole = memory_.regions().size() > 1;
        return fail(Error::invalid(fmt::format("{} ({}) is outside guest RAM of {}{}", what, range,
                                               print_size(memory_.size_bytes()),
                                               has_hole ? ", which has a hole from 3 to 4 GiB" : ""))
                        .hint("see --memory"));
    }
    for (const Row& row : kFixedRows)
        if (overlaps(base, size_bytes, row.base, row.size_bytes))
            return refuse("{} ({}) overlaps {} ({})", what, range, row.what,
                          print_range(row.base, row.size_bytes));
    if (const Claim* other = find_claim(base, size_bytes))
        return refuse("{} ({}) overlaps {} ({})", what, range, other->what,
                      print_range(other->base, other->size_bytes));
    claims_.push_back({base, size_bytes, std::string(what)});
    return {};
}

Result<Gpa> Occupancy::place(Gpa wish, u64 size_bytes, std::string_view what) {
    std::optional<Gpa> at = wish;
    if (find_claim(wish, size_bytes) != nullptr)
        at = find_above(Gpa{kPageBytes}, layout::kEbda, size_bytes, kPageBytes);
    if (!at) at = find_below(std::min(layout::kHole, Gpa{memory_.regions()[0].size_bytes}), size_bytes);
    if (!at) return refuse("the kernel leaves no room for {} of {} bytes", what, size_bytes);
    claims_.push_back({*at, size_bytes, std::string(what)});
    return *at;
}

std::optional<Gpa> Occupancy::find_below(Gpa end, u64 size_bytes) const {
    Gpa limit = end;
    // Each turn moves below one more claim, so there are at most as many turns as claims, and one.
    while (limit.value >= size_bytes) {
        const Gpa base{align_down(limit.value - size_bytes, kPageBytes)};
        if (base < layout::kHighMemory) break;
        const Claim* claim = find_claim(base, size_bytes);
        if (claim == nullptr) {
            if (memory_.contains(base, size_bytes)) return base;
            break;
        }
        limit = claim->base;
    }
    return std::nullopt;
}

std::optional<Gpa> Occupancy::find_above(Gpa start, Gpa end, u64 size_bytes, u64 alignment_bytes) const {
    Gpa base{align_up(start.value, alignment_bytes)};
    while (base >= start && base <= end && size_bytes <= end - base) {
        const Claim* claim = find_claim(base, size_bytes);
        if (claim == nullptr) {
            if (memory_.contains(base, size_bytes)) return base;
            break;
        }
        base = Gpa{align_up(claim->base.value + claim->size_bytes, alignment_bytes)};
    }
    return std::nullopt;
}

Gpa Occupancy::claimed_end(Gpa end) const {
    Gpa highest = layout::kHighMemory;
    for (const Claim& claim : claims_)
        if (claim.base < end) highest = std::max(highest, claim.base + claim.size_bytes);
    return highest;
}

}  // namespace mayfly
