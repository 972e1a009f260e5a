// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/elf_sections.h"

#include <algorithm>

#include "firmware/boot/elf_kernel.h"

namespace mayfly {

namespace {

constexpr u16 kSectionsMax = 512;
constexpr u64 kNamesMax = KiB(64);

}  // namespace

/// Spec: ELF gABI 4.1 "Sections", "String Table".
std::optional<ElfSections> ElfSections::read(const HeaderWindow& window) {
    const Result<Elf64_Ehdr> found = window.read_object<Elf64_Ehdr>(0);
    if (!found || !is_elf(window.bytes())) return std::nullopt;
    const Elf64_Ehdr& header = *found;
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr))
        return std::nullopt;
    if (header.e_shnum == 0 || header.e_shnum > kSectionsMax || header.e_shstrndx >= header.e_shnum)
        return std::nullopt;
    ElfSections sections;
    sections.headers_.resize(header.e_shnum);
    if (!window.read(header.e_shoff, std::as_writable_bytes(std::span(sections.headers_))))
        return std::nullopt;
    const Elf64_Shdr& strings = sections.headers_[header.e_shstrndx];
    sections.names_.resize(std::min(strings.sh_size, kNamesMax));
    if (!window.read(strings.sh_offset, std::as_writable_bytes(std::span(sections.names_))))
        return std::nullopt;
    return sections;
}

const Elf64_Shdr* ElfSections::find(std::string_view name) const {
    for (const Elf64_Shdr& section : headers_) {
        if (section.sh_type != SHT_PROGBITS || section.sh_name >= names_.size()) continue;
        if (std::string_view(names_.c_str() + section.sh_name) == name) return &section;
    }
    return nullptr;
}

}  // namespace mayfly
