// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_driver.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "firmware/boot/elf.h"
#include "firmware/boot/elf_spec.h"

namespace mayfly {

namespace {

using namespace elf;

constexpr u16 kSectionsMax = 512;
constexpr u64 kNamesMax = KiB(64);
/// A kernel's constants take 6 to 12 MiB.
constexpr u64 kConstantsMax = MiB(64);
constexpr u64 kChunk = KiB(256);

template <typename T>
std::optional<T> read_object(const Image& image, u64 offset_bytes) {
    T value{};
    if (!image.read(offset_bytes, std::as_writable_bytes(std::span(&value, 1)))) return std::nullopt;
    return value;
}

/// Spec: ELF gABI 4.1 "Sections", "String Table".
std::optional<SectionHeader64> find_section(const Image& image, std::string_view name) {
    const auto header = read_object<Header64>(image, 0);
    if (!header || header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_shentsize != sizeof(SectionHeader64))
        return std::nullopt;
    if (header->e_shnum == 0 || header->e_shnum > kSectionsMax || header->e_shstrndx >= header->e_shnum)
        return std::nullopt;
    std::vector<SectionHeader64> sections(header->e_shnum);
    if (!image.read(header->e_shoff, std::as_writable_bytes(std::span(sections)))) return std::nullopt;
    const SectionHeader64& strings = sections[header->e_shstrndx];
    std::string names(std::min(strings.sh_size, kNamesMax), '\0');
    if (!image.read(strings.sh_offset, std::as_writable_bytes(std::span(names)))) return std::nullopt;
    for (const SectionHeader64& section : sections) {
        if (section.sh_type != SHT_PROGBITS || section.sh_name >= names.size()) continue;
        if (std::string_view(names.c_str() + section.sh_name) == name) return section;
    }
    return std::nullopt;
}

}  // namespace

bool has_driver(const Image& vmlinux, std::string_view name) {
    std::array<std::byte, 4> magic{};
    if (vmlinux.size_bytes() < magic.size() || !vmlinux.read(0, magic) || !is_elf(magic)) return false;
    const std::optional<SectionHeader64> constants = find_section(vmlinux, ".rodata");
    if (!constants || constants->sh_size > kConstantsMax) return false;
    // The whole word, between the NULs that separate constants; chunks overlap by its length.
    std::string wanted(1, '\0');
    wanted.append(name).push_back('\0');
    std::vector<std::byte> chunk(kChunk + wanted.size());
    for (u64 at = 0; at < constants->sh_size; at += kChunk) {
        const auto piece = std::span(chunk).first(std::min<u64>(chunk.size(), constants->sh_size - at));
        if (!vmlinux.read(constants->sh_offset + at, piece)) return false;
        if (::memmem(piece.data(), piece.size(), wanted.data(), wanted.size()) != nullptr) return true;
    }
    return false;
}

}  // namespace mayfly
