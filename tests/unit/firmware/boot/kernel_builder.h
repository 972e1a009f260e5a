// SPDX-License-Identifier: Apache-2.0
// Builds kernels byte by byte for the loaders' tests, and runs the loaders on them. The constants of the
// specifications are written out here again, so that a slip in the product cannot agree with itself.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "firmware/boot/boot.h"
#include "firmware/layout.h"

namespace mayfly::test {

using Bytes = std::vector<std::byte>;

template <typename T>
void put(Bytes& bytes, std::size_t at, T value) {
    if (bytes.size() < at + sizeof(value)) bytes.resize(at + sizeof(value));
    std::memcpy(bytes.data() + at, &value, sizeof(value));
}

inline void put_text(Bytes& bytes, std::size_t at, std::string_view text) {
    if (bytes.size() < at + text.size()) bytes.resize(at + text.size());
    std::memcpy(bytes.data() + at, text.data(), text.size());
}

inline void append(Bytes& bytes, const Bytes& more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

/// The bytes of a text such as "01 02 ff". Spaces and line ends do not count.
inline Bytes from_hex(std::string_view hex) {
    Bytes bytes;
    int high = -1;
    for (const char c : hex) {
        if (c == ' ' || c == '\n') continue;
        const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
        if (high < 0) {
            high = digit;
        } else {
            bytes.push_back(static_cast<std::byte>(high * 16 + digit));
            high = -1;
        }
    }
    return bytes;
}

struct Segment {
    u32 type;
    u64 offset;
    u64 vaddr;
    u64 paddr;
    u64 filesz;
    u64 memsz;
    u64 align;
};

constexpr u32 kLoad = 1;
constexpr u32 kNote = 4;

/// A section header of ELF64 (gABI 4.1 "Sections"), 64 bytes.
struct Section {
    u32 name;
    u32 type;
    u64 flags;
    u64 address;
    u64 offset;
    u64 size;
};

inline void put_section(Bytes& file, std::size_t at, const Section& section) {
    put<u32>(file, at, section.name);
    put<u32>(file, at + 4, section.type);
    put<u64>(file, at + 8, section.flags);
    put<u64>(file, at + 16, section.address);
    put<u64>(file, at + 24, section.offset);
    put<u64>(file, at + 32, section.size);
    if (file.size() < at + 64) file.resize(at + 64);
}

/// The ELF header's fields of a table of `count` section headers at `at`, the last of them the names'.
inline void put_section_table(Bytes& file, u64 at, u16 count) {
    put<u64>(file, 40, at);                           // e_shoff
    put<u16>(file, 58, 64);                           // e_shentsize
    put<u16>(file, 60, count);                        // e_shnum
    put<u16>(file, 62, static_cast<u16>(count - 1));  // e_shstrndx
}

/// Header and program headers only; the program headers follow the header.
inline Bytes elf64(u64 entry, const std::vector<Segment>& segments) {
    Bytes out;
    put_text(out, 0,
             {"\x7f"
              "ELF\2\1\1",
              7});
    put<u16>(out, 16, 2);   // ET_EXEC
    put<u16>(out, 18, 62);  // EM_X86_64
    put<u32>(out, 20, 1);
    put<u64>(out, 24, entry);
    put<u64>(out, 32, 64);  // e_phoff
    put<u64>(out, 40, 0);
    put<u32>(out, 48, 0);
    put<u16>(out, 52, 64);
    put<u16>(out, 54, 56);  // e_phentsize
    put<u16>(out, 56, static_cast<u16>(segments.size()));
    put<u32>(out, 58, 0);
    put<u16>(out, 62, 0);
    for (std::size_t i = 0; i < segments.size(); i++) {
        const Segment& s = segments[i];
        const std::size_t at = 64 + 56 * i;
        put<u32>(out, at, s.type);
        put<u32>(out, at + 4, 7);
        put<u64>(out, at + 8, s.offset);
        put<u64>(out, at + 16, s.vaddr);
        put<u64>(out, at + 24, s.paddr);
        put<u64>(out, at + 32, s.filesz);
        put<u64>(out, at + 40, s.memsz);
        put<u64>(out, at + 48, s.align);
    }
    return out;
}

inline Bytes elf32(u32 entry, const std::vector<Segment>& segments) {
    Bytes out;
    put_text(out, 0,
             {"\x7f"
              "ELF\1\1\1",
              7});
    put<u16>(out, 16, 2);
    put<u16>(out, 18, 3);  // EM_386
    put<u32>(out, 20, 1);
    put<u32>(out, 24, entry);
    put<u32>(out, 28, 52);
    put<u64>(out, 32, 0);
    put<u16>(out, 40, 52);
    put<u16>(out, 42, 32);
    put<u16>(out, 44, static_cast<u16>(segments.size()));
    put<u32>(out, 46, 0);
    put<u16>(out, 50, 0);
    for (std::size_t i = 0; i < segments.size(); i++) {
        const Segment& s = segments[i];
        const std::size_t at = 52 + 32 * i;
        const u64 fields[8] = {s.type, s.offset, s.vaddr, s.paddr, s.filesz, s.memsz, 7, s.align};
        for (std::size_t f = 0; f < 8; f++) put<u32>(out, at + 4 * f, static_cast<u32>(fields[f]));
    }
    return out;
}

/// One note. `alignment` is 4 or 8.
inline Bytes note(std::string_view name_with_nul, u32 type, const Bytes& descriptor, std::size_t alignment) {
    Bytes out;
    put<u32>(out, 0, static_cast<u32>(name_with_nul.size()));
    put<u32>(out, 4, static_cast<u32>(descriptor.size()));
    put<u32>(out, 8, type);
    put_text(out, 12, name_with_nul);
    out.resize(align_up(out.size(), alignment));
    append(out, descriptor);
    out.resize(align_up(out.size(), alignment));
    return out;
}

constexpr u64 kCodeOffset = 0x1000;
constexpr std::string_view kCode = "the kernel's code";

/// One segment of code at 1 MiB, with bss behind it, and the given notes at 0x400 of the file.
inline Bytes kernel64(const Bytes& notes = {}, u64 note_alignment = 4) {
    std::vector<Segment> segments{{kLoad, kCodeOffset, 0x100000, 0x100000, kCode.size(), 0x2000, 0x1000}};
    if (!notes.empty()) segments.push_back({kNote, 0x400, 0, 0, notes.size(), notes.size(), note_alignment});
    Bytes out = elf64(0x100000, segments);
    out.resize(kCodeOffset);
    if (!notes.empty()) std::memcpy(out.data() + 0x400, notes.data(), notes.size());
    put_text(out, kCodeOffset, kCode);
    return out;
}

inline Bytes kernel32(const Bytes& notes = {}, u64 note_alignment = 4) {
    std::vector<Segment> segments{{kLoad, kCodeOffset, 0x100000, 0x100000, kCode.size(), 0x2000, 0x1000}};
    if (!notes.empty()) segments.push_back({kNote, 0x400, 0, 0, notes.size(), notes.size(), note_alignment});
    Bytes out = elf32(0x100000, segments);
    out.resize(kCodeOffset);
    if (!notes.empty()) std::memcpy(out.data() + 0x400, notes.data(), notes.size());
    put_text(out, kCodeOffset, kCode);
    return out;
}

inline Bytes pvh_note(u32 entry = 0x100000) {
    Bytes descriptor;
    put<u32>(descriptor, 0, entry);
    return note({"Xen\0", 4}, 18, descriptor, 4);
}

/// Two setup sectors, then a protected-mode part with the payload at 0x300.
inline Bytes bzimage(const Bytes& payload) {
    Bytes file(3 * 512 + 0x300);
    append(file, payload);
    file.resize(align_up(file.size(), 16));
    put_text(file, std::size_t{3} * 512, "32-bit entry");
    put_text(file, 3 * 512 + 0x200, "64-bit entry");
    put<u8>(file, 0x1f1, 2);                                                             // setup_sects
    put<u32>(file, 0x1f4, static_cast<u32>((file.size() - std::size_t{3} * 512) / 16));  // syssize
    put<u16>(file, 0x1fe, 0xaa55);
    put<u16>(file, 0x200, 0x66eb);  // jump: header ends at 0x268
    put_text(file, 0x202, "HdrS");
    put<u16>(file, 0x206, 0x020f);
    put<u8>(file, 0x211, 1);            // loaded high
    put<u32>(file, 0x214, 0x100000);    // code32_start
    put<u32>(file, 0x22c, 0x7fffffff);  // initrd_addr_max
    put<u32>(file, 0x230, 0x200000);    // kernel_alignment
    put<u16>(file, 0x236, 1);           // XLF_KERNEL_64
    put<u32>(file, 0x238, 100);         // cmdline_size
    put<u32>(file, 0x248, payload.empty() ? 0 : 0x300);
    put<u32>(file, 0x24c, static_cast<u32>(payload.size()));
    put<u64>(file, 0x258, 0x100000);  // pref_address
    put<u32>(file, 0x260, 0x10000);   // init_size
    put<u8>(file, 0x267, 0x77);
    put<u8>(file, 0x268, 0x88);  // not of the header
    return file;
}

/// A guest of `ram_bytes`, and the result of a boot of `file`.
struct Guest {
    explicit Guest(u64 ram_bytes = MiB(2))
        : ram(GuestRam::create({.size_bytes = ram_bytes, .hole_base = Gpa{0xc0000000}}).value()),
          map(MemoryMap::for_ram(ram_bytes)) {}

    Result<EntryState> boot(const Image& kernel, Protocol wanted = Protocol::Auto) {
        Result<KernelChoice> chosen = choose_kernel(kernel, wanted);
        if (!chosen) return fail(std::move(chosen).error());
        choice = *chosen;
        return load_guest(kernel, choice, request, ram, map);
    }
    Result<EntryState> boot(const Bytes& file, Protocol wanted = Protocol::Auto) {
        return boot(Image::from_bytes("vmx", file), wanted);
    }
    /// The message, or "booted".
    std::string error_of(const Bytes& file, Protocol wanted = Protocol::Auto) {
        const Result<EntryState> entry = boot(file, wanted);
        return entry ? "booted" : entry.error().message();
    }
    [[nodiscard]] Bytes at(u64 gpa, std::size_t bytes) const {
        Bytes out(bytes);
        return ram.memory().read(Gpa{gpa}, out) == MemStatus::Ok ? out : Bytes{};
    }
    [[nodiscard]] std::string text_at(u64 gpa) const {
        std::string text;
        for (u64 i = 0;; i++) {
            const auto byte = ram.memory().read_object<char>(Gpa{gpa + i});
            if (!byte || *byte == 0) return text;
            text += *byte;
        }
    }
    template <typename T>
    [[nodiscard]] T value_at(u64 gpa) const {
        return ram.memory().read_object<T>(Gpa{gpa}).value_or(T{});
    }

    GuestRam ram;
    MemoryMap map;
    BootRequest request{.kernel_name = "vmx", .command_line = "", .rsdp = Gpa{0xe0000}};
    KernelChoice choice;
};

}  // namespace mayfly::test
