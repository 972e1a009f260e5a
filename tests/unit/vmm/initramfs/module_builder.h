// SPDX-License-Identifier: Apache-2.0
// Kernel modules for tests: ELF files with a section .modinfo, and nothing that a kernel would load.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include <elf.h>

namespace mayfly::test {

/// Places in a file of module_with().
constexpr std::size_t kModinfoAt = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Shdr);

/// `info` are strings NAME=VALUE, each ended by a NUL.
inline std::string module_with(std::string_view info) {
    constexpr std::string_view kNames{"\0.modinfo\0.shstrtab\0", 20};
    Elf64_Ehdr header{};
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_REL;
    header.e_shoff = sizeof header;
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_shnum = 3;
    header.e_shstrndx = 2;
    Elf64_Shdr sections[3]{};
    sections[1].sh_name = 1;
    sections[1].sh_type = SHT_PROGBITS;
    sections[1].sh_offset = kModinfoAt;
    sections[1].sh_size = info.size();
    sections[2].sh_name = 10;
    sections[2].sh_type = SHT_STRTAB;
    sections[2].sh_offset = kModinfoAt + info.size();
    sections[2].sh_size = kNames.size();
    std::string file(reinterpret_cast<const char*>(&header), sizeof header);
    file.append(reinterpret_cast<const char*>(sections), sizeof sections);
    return file.append(info).append(kNames);
}

inline std::span<const std::byte> bytes_of(const std::string& file) {
    return std::as_bytes(std::span(file.data(), file.size()));
}

}  // namespace mayfly::test
