// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/rewritten_pages.h"

#include <algorithm>
#include <array>

#include "firmware/boot/elf_sections.h"

namespace mayfly {

namespace {

using namespace elf;

constexpr u64 kPage = 4096;
constexpr u64 kPiece = KiB(64);
constexpr u64 kProbe = 64;
constexpr u64 kPopulatedMax = MiB(64);

/// Bytes of the file.
struct FileRange {
    u64 from;
    u64 to;
};

bool is_rewritten(const SectionHeader64& section, const ElfSegment& segment) {
    if (section.sh_type != SHT_PROGBITS || (section.sh_flags & SHF_ALLOC) == 0) return false;
    if ((section.sh_flags & SHF_EXECINSTR) != 0) return true;
    // Linux's constants are in a section that calls itself writable, in a segment that does not.
    return (section.sh_flags & SHF_WRITE) != 0 && segment.is_writable;
}

/// The part of a section that is in the segment's file bytes, widened to those of its pages that are whole;
/// empty where there is none.
FileRange pages_of(const SectionHeader64& section, const ElfSegment& segment) {
    if (section.sh_addr < segment.virtual_base) return {0, 0};
    const u64 begin = section.sh_addr - segment.virtual_base;
    if (begin >= segment.file_bytes) return {0, 0};
    const u64 end = begin + std::min(section.sh_size, segment.file_bytes - begin);
    const u64 offset = segment.file_offset_bytes;
    return {std::max(align_down(offset + begin, kPage), align_up(offset, kPage)),
            std::min(align_up(offset + end, kPage), align_down(offset + segment.file_bytes, kPage))};
}

/// Padding up to the next section's alignment is megabytes, of int3 or of zeros, and nobody touches it.
bool is_padding(const Image& vmlinux, u64 offset_bytes) {
    std::array<std::byte, kProbe> probe{};
    if (!vmlinux.read(offset_bytes, probe)) return true;
    return std::ranges::all_of(probe, [&](std::byte byte) { return byte == probe.front(); });
}

/// Populates what is not padding, piece by piece, neighbours in one call. Gives back how much that was.
u64 populate(const Image& vmlinux, const ElfSegment& segment, FileRange pages, Gpa segment_base,
             GuestRam& ram) {
    u64 populated = 0;
    FileRange run{pages.from, pages.from};
    const auto end_run = [&] {
        const Gpa at = segment_base + (run.from - segment.file_offset_bytes);
        if (run.from < run.to && at.value % kPage == 0) ram.populate(at, run.to - run.from);
        populated += run.to - run.from;
    };
    for (u64 at = pages.from; at < pages.to; at = align_up(at + 1, kPiece)) {
        if (!is_padding(vmlinux, at)) {
            run.to = std::min(align_up(at + 1, kPiece), pages.to);
            continue;
        }
        end_run();
        run.from = run.to = std::min(align_up(at + 1, kPiece), pages.to);
    }
    end_run();
    return populated;
}

}  // namespace

void populate_rewritten_pages(const Image& vmlinux, const ElfKernel& kernel, u64 shift_bytes, GuestRam& ram) {
    if (vmlinux.file() == nullptr) return;
    const std::optional<ElfSections> sections = ElfSections::read(vmlinux);
    if (!sections) return;
    u64 left = kPopulatedMax;
    for (const ElfSegment& segment : kernel.segments) {
        for (const SectionHeader64& section : sections->headers()) {
            if (!is_rewritten(section, segment)) continue;
            FileRange pages = pages_of(section, segment);
            if (pages.from >= pages.to) continue;
            pages.to = std::min(pages.to, pages.from + left);
            left -= populate(vmlinux, segment, pages, segment.base + shift_bytes, ram);
        }
    }
}

}  // namespace mayfly
