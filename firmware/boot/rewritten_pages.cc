// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/rewritten_pages.h"

#include <algorithm>
#include <array>

namespace mayfly {

namespace {

constexpr u64 kPiece = KiB(64);
constexpr u64 kProbe = 64;
constexpr u64 kWrittenMax = MiB(64);

/// File bytes, by their use.
struct FileRange {
    u64 from;
    u64 to;
};

enum class Use : u8 {
    Kept,   ///< only read
    Text,   ///< code; its padding is not used
    Data,   ///< data; its zeros are used
    Zeros,  ///< without bytes in the file
};

Use use_of(const Elf64_Shdr& section, const ElfSegment& segment) {
    if ((section.sh_flags & SHF_ALLOC) == 0) return Use::Kept;
    // Linux's constants are in a section marked writable, in a segment that is not.
    const bool is_writable = (section.sh_flags & SHF_WRITE) != 0 && segment.is_writable;
    if (section.sh_type == SHT_NOBITS) return is_writable ? Use::Zeros : Use::Kept;
    if (section.sh_type != SHT_PROGBITS) return Use::Kept;
    if ((section.sh_flags & SHF_EXECINSTR) != 0) return Use::Text;
    return is_writable ? Use::Data : Use::Kept;
}

/// The part of a section that is in the segment's file bytes, widened to whole pages where the segment has
/// them; empty without such a page.
FileRange pages_of(const Elf64_Shdr& section, const ElfSegment& segment) {
    if (section.sh_addr < segment.virtual_base) return {0, 0};
    const u64 begin = section.sh_addr - segment.virtual_base;
    if (begin >= segment.file_bytes) return {0, 0};
    const u64 end = begin + std::min(section.sh_size, segment.file_bytes - begin);
    const u64 offset = segment.file_offset_bytes;
    return {
        std::max(align_down(offset + begin, kPageBytes), align_up(offset, kPageBytes)),
        std::min(align_up(offset + end, kPageBytes), align_down(offset + segment.file_bytes, kPageBytes))};
}

/// Padding up to the next section's alignment is megabytes, of int3 or of zeros.
bool is_padding(const Image& vmlinux, u64 offset_bytes) {
    std::array<std::byte, kProbe> probe{};
    if (!vmlinux.read(offset_bytes, probe)) return true;
    return std::ranges::all_of(probe, [&](std::byte byte) { return byte == probe.front(); });
}

/// Neighbours of one kind become one.
void append(std::vector<WrittenPages>& out, const WrittenPages& more) {
    const bool goes_on = !out.empty() && out.back().is_read_first == more.is_read_first &&
                         out.back().at + out.back().size_bytes == more.at;
    if (goes_on)
        out.back().size_bytes += more.size_bytes;
    else
        out.push_back(more);
}

void append_section(std::vector<WrittenPages>& out, const Image& vmlinux, FileRange pages, Use use,
                    Gpa first) {
    for (u64 at = pages.from; at < pages.to;) {
        // Sections without bytes are known to be zeros.
        const u64 end = use == Use::Zeros ? pages.to : std::min(align_up(at + 1, kPiece), pages.to);
        const bool is_zeros = use == Use::Zeros || is_padding(vmlinux, at);
        if (!is_zeros || use != Use::Text) append(out, {first + (at - pages.from), end - at, !is_zeros});
        at = end;
    }
}

}  // namespace

std::vector<WrittenPages> find_written_pages(const ElfImage& vmlinux, u64 shift_bytes) {
    std::vector<WrittenPages> out;
    const ElfKernel& kernel = vmlinux.kernel;
    if (!kernel.sections) return out;
    u64 left = kWrittenMax;
    for (const ElfSegment& segment : kernel.segments) {
        for (const Elf64_Shdr& section : kernel.sections->headers()) {
            const Use use = use_of(section, segment);
            if (use == Use::Kept) continue;
            FileRange pages = pages_of(section, segment);
            if (pages.from >= pages.to) continue;
            pages.to = std::min(pages.to, pages.from + left);
            left -= pages.to - pages.from;
            const Gpa first = segment.base + shift_bytes + (pages.from - segment.file_offset_bytes);
            if (first.value % kPageBytes == 0) append_section(out, vmlinux.image, pages, use, first);
        }
    }
    return out;
}

}  // namespace mayfly
