// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_pages.h"

#include <algorithm>

#include "firmware/boot/rewritten_pages.h"
#include "vmm/memory/page_copy.h"
#include "vmm/os/huge_pages.h"

namespace mayfly {

namespace {

/// From so many pages on, clearing and copying a huge page is less work than an exit for each small one.
constexpr u64 kWrittenMin = KiB(512);
/// A larger share of private pages would waste memory that guests could share.
constexpr u64 kKeptMax = MiB(1);
/// From the first segment to the end of the last one; Linux spans some 60 MiB.
constexpr u64 kSpanMax = GiB(1);

struct GpaRange {
    Gpa from;
    Gpa to;
};

u64 overlap(GpaRange a, GpaRange b) {
    const Gpa from = std::max(a.from, b.from);
    const Gpa to = std::min(a.to, b.to);
    return from < to ? to - from : 0;
}

/// The chunks of 2 MiB that are to be huge pages.
class HugeChunks {
  public:
    HugeChunks() = default;
    HugeChunks(const ElfKernel& kernel, u64 shift_bytes, const std::vector<WrittenPages>& written,
               const GuestMemory& memory) {
        if (written.empty()) return;
        GpaRange span{Gpa{~u64{0}}, Gpa{0}};
        for (const ElfSegment& segment : kernel.segments) {
            const Gpa at = segment.base + shift_bytes;
            span = {std::min(span.from, at), std::max(span.to, at + segment.file_bytes)};
        }
        if (span.to - span.from > kSpanMax) return;
        first_ = align_down(span.from.value, kHugePage);
        for (u64 at = first_; at < span.to.value; at += kHugePage) {
            const GpaRange chunk{Gpa{at}, Gpa{at + kHugePage}};
            u64 mapped = 0;
            for (const ElfSegment& segment : kernel.segments) {
                const Gpa base = segment.base + shift_bytes;
                mapped += overlap(chunk, {base, base + segment.file_bytes});
            }
            u64 changes = 0;
            for (const WrittenPages& pages : written)
                changes += overlap(chunk, {pages.at, pages.at + pages.size_bytes});
            // Sections that overlap, against the specification, may count a page twice.
            const u64 kept = mapped - std::min(mapped, changes);
            is_huge_.push_back(changes >= kWrittenMin && kept <= kKeptMax &&
                               memory.span(chunk.from, kHugePage).has_value());
        }
    }

    [[nodiscard]] bool has(Gpa at) const {
        const u64 index = (at.value - first_) / kHugePage;
        return at.value >= first_ && index < is_huge_.size() && is_huge_[index];
    }
    /// The end of the run of pages from `at`, up to `end` at most, that are all huge or all small.
    [[nodiscard]] Gpa run_end(Gpa at, Gpa end) const {
        Gpa next = at;
        do next = Gpa{align_down(next.value, kHugePage) + kHugePage};
        while (next < end && has(next) == has(at));
        return std::min(next, end);
    }

  private:
    u64 first_ = 0;
    std::vector<bool> is_huge_;
};

/// Into fresh pages. A file that shrinks meanwhile raises SIGBUS.
Result<void> copy_mapped(const Image& vmlinux, u64 offset_bytes, GuestSpan into) {
    const u64 head = offset_bytes % kPageBytes;
    const Mapping source =
        TRY(Mapping::file_private(*vmlinux.file(), offset_bytes - head, head + into.size_bytes));
    copy_to_fresh_pages(static_cast<std::byte*>(into.host_base), source.data() + head, into.size_bytes);
    return {};
}

}  // namespace

Result<void> place_linux(const ElfImage& vmlinux, u64 shift_bytes, GuestRam& ram, bool has_huge_pages) {
    const auto& [image, kernel] = vmlinux;
    const std::vector<WrittenPages> written = find_written_pages(vmlinux, shift_bytes);
    const HugeChunks chunks =
        has_huge_pages ? HugeChunks(kernel, shift_bytes, written, ram.memory()) : HugeChunks();
    for (const ElfSegment& segment : kernel.segments) {
        const Gpa base = segment.base + shift_bytes;
        const Gpa end = base + segment.file_bytes;
        for (Gpa at = base, next; at < end; at = next) {
            TRY_VOID(image.stop().check());
            next = chunks.run_end(at, end);
            const u64 offset = segment.file_offset_bytes + (at - base);
            const bool is_page_aligned = (at.value - offset) % kPageBytes == 0;
            if (chunks.has(at) && is_page_aligned)
                TRY_VOID(copy_mapped(image, offset, ram.memory().span(at, next - at).value()));
            else
                TRY_VOID(image.place(ram, at, offset, next - at));
        }
    }
    for (const WrittenPages& pages : written) {
        const Gpa end = pages.at + pages.size_bytes;
        for (Gpa at = pages.at, next; at < end; at = next) {
            TRY_VOID(image.stop().check());
            next = chunks.run_end(at, end);
            if (pages.is_read_first && !chunks.has(at)) ram.populate(at, next - at);
        }
    }
    return {};
}

}  // namespace mayfly
