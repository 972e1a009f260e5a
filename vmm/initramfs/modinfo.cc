// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/modinfo.h"

#include <cstring>
#include <string_view>

#include <elf.h>

namespace mayfly {

namespace {

constexpr std::string_view kSection = ".modinfo";

/// `size` bytes from `offset`; empty where the file is shorter.
std::string_view part(std::span<const std::byte> file, u64 offset, u64 size) {
    if (offset > file.size() || size > file.size() - offset) return {};
    // SAFETY: chars may alias anything, and the range was checked.
    return {reinterpret_cast<const char*>(file.data()) + offset, static_cast<std::size_t>(size)};
}

/// A structure of the file, which need not be aligned.
template <typename T>
std::optional<T> structure(std::span<const std::byte> file, u64 offset) {
    const std::string_view bytes = part(file, offset, sizeof(T));
    if (bytes.empty()) return std::nullopt;
    T value{};
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

std::optional<Elf64_Shdr> section(std::span<const std::byte> file, const Elf64_Ehdr& header, u32 index) {
    const u64 offset = u64{index} * sizeof(Elf64_Shdr);
    if (header.e_shoff > file.size() || offset > file.size() - header.e_shoff) return std::nullopt;
    return structure<Elf64_Shdr>(file, header.e_shoff + offset);
}

/// The strings of .modinfo; empty without that section.
std::string_view find_strings(std::span<const std::byte> file) {
    const auto header = structure<Elf64_Ehdr>(file, 0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) return {};
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) return {};
    if (header->e_shentsize != sizeof(Elf64_Shdr)) return {};
    const auto names_header = section(file, *header, header->e_shstrndx);
    if (!names_header) return {};
    const std::string_view names = part(file, names_header->sh_offset, names_header->sh_size);
    for (u32 index = 0; index < header->e_shnum; ++index) {
        const auto one = section(file, *header, index);
        if (!one) return {};
        if (one->sh_type != SHT_PROGBITS || one->sh_name >= names.size()) continue;
        const std::string_view name = names.substr(one->sh_name);
        if (name.substr(0, name.find('\0')) == kSection) return part(file, one->sh_offset, one->sh_size);
    }
    return {};
}

void add_names(std::string_view list, std::vector<std::string>& names) {
    while (!list.empty()) {
        const std::string_view name = list.substr(0, list.find(','));
        list.remove_prefix(name.size() == list.size() ? name.size() : name.size() + 1);
        if (!name.empty()) names.emplace_back(name);
    }
}

/// The value after "KEY=" in `text`; empty where `text` has another key.
std::optional<std::string_view> value_of(std::string_view text, std::string_view key) {
    if (text.size() <= key.size() || !text.starts_with(key) || text[key.size()] != '=') return std::nullopt;
    return text.substr(key.size() + 1);
}

}  // namespace

std::optional<ModuleInfo> read_modinfo(std::span<const std::byte> file) {
    std::string_view strings = find_strings(file);
    if (strings.empty()) return std::nullopt;
    ModuleInfo info;
    while (!strings.empty()) {
        const std::string_view text = strings.substr(0, strings.find('\0'));
        strings.remove_prefix(text.size() == strings.size() ? text.size() : text.size() + 1);
        if (const auto list = value_of(text, "depends")) add_names(*list, info.needs);
        if (const auto soft = value_of(text, "softdep")) info.soft_needs.emplace_back(*soft);
        if (const auto magic = value_of(text, "vermagic"); magic && info.release.empty())
            info.release = magic->substr(0, magic->find(' '));
    }
    return info;
}

}  // namespace mayfly
