// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/elf_kernel.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <elf.h>

#include "firmware/boot/elf_notes_spec.h"
#include "firmware/boot/linux_pages.h"
#include "firmware/image/refuse.h"
#include "vmm/os/huge_pages.h"

namespace mayfly {

namespace {

using namespace elf_notes;

/// Kernels have a handful; a file with more is not a kernel, and each one costs time.
constexpr u16 kProgramHeadersMax = 128;
/// Enough for every kernel's notes; later notes are ignored.
constexpr u64 kNoteBytesMax = KiB(64);

Elf64_Phdr widen(const Elf64_Phdr& header) { return header; }
Elf64_Phdr widen(const Elf32_Phdr& header) {
    return {header.p_type,  header.p_flags,  header.p_offset, header.p_vaddr,
            header.p_paddr, header.p_filesz, header.p_memsz,  header.p_align};
}

Result<void> check_load(const Elf64_Phdr& header, u32 index, u64 file_bytes) {
    if (header.p_filesz > header.p_memsz)
        return refuse("segment {} has {:#x} bytes in the file, but only {:#x} in memory", index,
                      header.p_filesz, header.p_memsz);
    if (header.p_offset > file_bytes || header.p_filesz > file_bytes - header.p_offset)
        return refuse("truncated: segment {} is {:#x} bytes at byte {:#x}, the file has {:#x}", index,
                      header.p_filesz, header.p_offset, file_bytes);
    return {};
}

/// One note, whose name and descriptor lie inside the segment.
void take_note(ElfKernel& kernel, u32 type, std::string_view name, std::span<const std::byte> descriptor) {
    using namespace std::string_view_literals;
    if (name == "Linux\0"sv && (type == LINUX_ELFNOTE_BUILD_SALT || type == LINUX_ELFNOTE_LTO_INFO))
        kernel.says_linux = true;
    if (name != "Xen\0"sv) return;
    if (type == XEN_ELFNOTE_GUEST_OS) {
        constexpr std::string_view kLinux = "linux";
        if (descriptor.size() >= kLinux.size() && std::memcmp(descriptor.data(), kLinux.data(), 5) == 0)
            kernel.says_linux = true;
    }
    // The descriptor has the size of the kernel's pointers; the entry is below 4 GiB in both forms.
    if (type == XEN_ELFNOTE_PHYS32_ENTRY && (descriptor.size() == 4 || descriptor.size() == 8)) {
        u64 entry = 0;
        std::memcpy(&entry, descriptor.data(), descriptor.size());
        if (entry <= ~u32{0}) kernel.pvh_entry = static_cast<u32>(entry);
    }
}

Result<void> read_notes(const HeaderWindow& window, const Elf64_Phdr& header, u32 index, u64 file_bytes,
                        ElfKernel& kernel) {
    if (header.p_offset > file_bytes || header.p_filesz > file_bytes - header.p_offset)
        return refuse("truncated: note segment {} is {:#x} bytes at byte {:#x}, the file has {:#x}", index,
                      header.p_filesz, header.p_offset, file_bytes);
    std::vector<std::byte> notes(std::min(header.p_filesz, kNoteBytesMax));
    TRY_VOID(window.read(header.p_offset, notes));
    // gABI "Note Section" requires 8 in ELF64, but tools write 4 and set p_align to it.
    const u64 alignment = header.p_align == 8 ? 8 : 4;
    u64 at = 0;
    while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
        Elf64_Nhdr note;
        std::memcpy(&note, notes.data() + at, sizeof(note));
        const u64 descriptor_at = align_up(at + sizeof(note) + note.n_namesz, alignment);
        if (descriptor_at > notes.size() || note.n_descsz > notes.size() - descriptor_at) break;
        const std::string_view name(reinterpret_cast<const char*>(notes.data() + at + sizeof(note)),
                                    note.n_namesz);
        take_note(kernel, note.n_type, name, std::span(notes).subspan(descriptor_at, note.n_descsz));
        at = std::min<u64>(align_up(descriptor_at + note.n_descsz, alignment), notes.size());
    }
    return {};
}

template <typename ElfHeader, typename ProgramHeader>
Result<ElfKernel> read_class(const HeaderWindow& window, u16 machine) {
    const u64 file_bytes = window.image().size_bytes();
    const auto header = TRY(window.read_object<ElfHeader>(0));
    if (header.e_machine != machine)
        return refuse("this is an ELF for machine {}, not for x86 (3 in 32 bits, 62 in 64 bits)",
                      header.e_machine);
    if (header.e_type != ET_EXEC && header.e_type != ET_DYN)
        return refuse("ELF type {} is not an executable (2 or 3)", header.e_type);
    if (header.e_phnum == 0) return refuse("this ELF has no program headers, so nothing to load");
    if (header.e_phnum > kProgramHeadersMax)
        return refuse("this ELF has {} program headers, more than {}", header.e_phnum, kProgramHeadersMax);
    if (header.e_phentsize != sizeof(ProgramHeader))
        return refuse("a program header has {} bytes, not {}", header.e_phentsize, sizeof(ProgramHeader));
    const u64 table_bytes = u64{header.e_phnum} * sizeof(ProgramHeader);
    if (header.e_phoff > file_bytes || table_bytes > file_bytes - header.e_phoff)
        return refuse("truncated: {} program headers at byte {:#x}, the file has {:#x} bytes", header.e_phnum,
                      u64{header.e_phoff}, file_bytes);
    std::vector<ProgramHeader> table(header.e_phnum);
    TRY_VOID(window.read(header.e_phoff, std::as_writable_bytes(std::span(table))));

    ElfKernel kernel;
    kernel.is_64 = sizeof(ElfHeader) == sizeof(Elf64_Ehdr);
    kernel.entry = header.e_entry;
    for (u32 index = 0; index < table.size(); index++) {
        const Elf64_Phdr segment = widen(table[index]);
        if (segment.p_type == PT_NOTE) TRY_VOID(read_notes(window, segment, index, file_bytes, kernel));
        if (segment.p_type != PT_LOAD || segment.p_memsz == 0) continue;
        TRY_VOID(check_load(segment, index, file_bytes));
        kernel.segments.push_back({index, segment.p_offset, segment.p_filesz, segment.p_vaddr,
                                   Gpa{segment.p_paddr}, segment.p_memsz, (segment.p_flags & PF_W) != 0});
    }
    if (kernel.segments.empty()) return refuse("this ELF has no loadable segment");
    return kernel;
}

}  // namespace

bool is_elf(std::span<const std::byte> start) {
    return start.size() >= SELFMAG && std::memcmp(start.data(), ELFMAG, SELFMAG) == 0;
}

Result<ElfKernel> read_elf(const HeaderWindow& window) {
    using Ident = std::array<u8, EI_NIDENT>;
    const Ident ident = TRY(window.read_object<Ident>(0));
    if (ident[EI_DATA] != ELFDATA2LSB)
        return refuse("ELF data encoding {} is not little endian (1)", ident[EI_DATA]);
    if (ident[EI_CLASS] == ELFCLASS32) return read_class<Elf32_Ehdr, Elf32_Phdr>(window, EM_386);
    if (ident[EI_CLASS] == ELFCLASS64) return read_class<Elf64_Ehdr, Elf64_Phdr>(window, EM_X86_64);
    return refuse("ELF class {} is neither 32 (1) nor 64 bits (2)", ident[EI_CLASS]);
}

const ElfKernel* good_elf(const MaybeElf& elf) { return elf && *elf ? &**elf : nullptr; }

Result<void> load_elf(const ElfImage& elf, u64 shift_bytes, GuestRam& ram, Occupancy& occupancy) {
    const ElfKernel& kernel = elf.kernel;
    for (const ElfSegment& segment : kernel.segments)
        TRY_VOID(occupancy.claim(segment.base + shift_bytes, segment.memory_bytes,
                                 fmt::format("kernel segment {}", segment.index)));
    if (kernel.says_linux) {
        const HugePages huge_pages = host_huge_pages();
        if (huge_pages == HugePages::OnAdvice) ram.advise_huge();
        if (elf.image.file() != nullptr)
            return place_linux(elf, shift_bytes, ram, huge_pages != HugePages::Never);
    }
    for (const ElfSegment& segment : kernel.segments)
        TRY_VOID(
            elf.image.place(ram, segment.base + shift_bytes, segment.file_offset_bytes, segment.file_bytes));
    return {};
}

Result<u64> find_entry(const ElfKernel& kernel, u64 entry) {
    for (const ElfSegment& segment : kernel.segments)
        if (entry >= segment.base.value && entry - segment.base.value < segment.memory_bytes) return entry;
    for (const ElfSegment& segment : kernel.segments)
        if (entry >= segment.virtual_base && entry - segment.virtual_base < segment.memory_bytes)
            return segment.base.value + (entry - segment.virtual_base);
    return refuse("the entry point {:#x} is in no loaded segment", entry);
}

}  // namespace mayfly
