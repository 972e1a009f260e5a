// SPDX-License-Identifier: Apache-2.0
// ELF as the specification has it: System V ABI gABI 4.1 §4 "Object Files", §5 "Program Loading", and the
// Xen note of the PVH boot protocol (xen/include/public/elfnote.h).
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::elf {

constexpr std::size_t EI_CLASS = 4;
constexpr std::size_t EI_DATA = 5;
constexpr u8 ELFCLASS32 = 1;
constexpr u8 ELFCLASS64 = 2;
constexpr u8 ELFDATA2LSB = 1;

constexpr u16 ET_EXEC = 2;
constexpr u16 ET_DYN = 3;
constexpr u16 EM_386 = 3;
constexpr u16 EM_X86_64 = 62;

constexpr u32 PT_LOAD = 1;
constexpr u32 PT_NOTE = 4;

constexpr u32 PF_W = 2;

struct Header32 {
    u8 e_ident[16];
    u16 e_type;
    u16 e_machine;
    u32 e_version;
    u32 e_entry;
    u32 e_phoff;
    u32 e_shoff;
    u32 e_flags;
    u16 e_ehsize;
    u16 e_phentsize;
    u16 e_phnum;
    u16 e_shentsize;
    u16 e_shnum;
    u16 e_shstrndx;
};
static_assert(sizeof(Header32) == 52);

struct Header64 {
    u8 e_ident[16];
    u16 e_type;
    u16 e_machine;
    u32 e_version;
    u64 e_entry;
    u64 e_phoff;
    u64 e_shoff;
    u32 e_flags;
    u16 e_ehsize;
    u16 e_phentsize;
    u16 e_phnum;
    u16 e_shentsize;
    u16 e_shnum;
    u16 e_shstrndx;
};
static_assert(sizeof(Header64) == 64);

struct ProgramHeader32 {
    u32 p_type;
    u32 p_offset;
    u32 p_vaddr;
    u32 p_paddr;
    u32 p_filesz;
    u32 p_memsz;
    u32 p_flags;
    u32 p_align;
};
static_assert(sizeof(ProgramHeader32) == 32);

struct ProgramHeader64 {
    u32 p_type;
    u32 p_flags;
    u64 p_offset;
    u64 p_vaddr;
    u64 p_paddr;
    u64 p_filesz;
    u64 p_memsz;
    u64 p_align;
};
static_assert(sizeof(ProgramHeader64) == 56);

constexpr u32 SHT_PROGBITS = 1;
constexpr u32 SHT_NOBITS = 8;

constexpr u64 SHF_WRITE = 1;
constexpr u64 SHF_ALLOC = 2;
constexpr u64 SHF_EXECINSTR = 4;

struct SectionHeader64 {
    u32 sh_name;
    u32 sh_type;
    u64 sh_flags;
    u64 sh_addr;
    u64 sh_offset;
    u64 sh_size;
    u32 sh_link;
    u32 sh_info;
    u64 sh_addralign;
    u64 sh_entsize;
};
static_assert(sizeof(SectionHeader64) == 64);

struct NoteHeader {
    u32 n_namesz;
    u32 n_descsz;
    u32 n_type;
};
static_assert(sizeof(NoteHeader) == 12);

/// Notes named "Xen".
constexpr u32 XEN_ELFNOTE_GUEST_OS = 6;
constexpr u32 XEN_ELFNOTE_PHYS32_ENTRY = 18;
/// Notes named "Linux": include/linux/elfnote-lto.h and build-salt.h.
constexpr u32 LINUX_ELFNOTE_BUILD_SALT = 0x100;
constexpr u32 LINUX_ELFNOTE_LTO_INFO = 0x101;

}  // namespace mayfly::elf
