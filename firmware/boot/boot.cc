// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/boot.h"

#include <algorithm>
#include <cstring>

#include "firmware/boot/bios_data.h"
#include "firmware/boot/bzimage.h"
#include "firmware/boot/elf_kernel.h"
#include "firmware/boot/linux_boot.h"
#include "firmware/boot/multiboot1.h"
#include "firmware/boot/multiboot2.h"
#include "firmware/boot/pvh.h"
#include "firmware/image/refuse.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// A bzImage and nearly every ELF show what they are in their first page.
constexpr u64 kFirstBytes = 4096;
/// The wider of the two Multiboot searches.
constexpr u64 kSearchBytes = 32768;

/// What kinds of kernel a file is; several may apply.
struct Finding {
    bool is_bzimage = false;
    std::optional<ElfKernel> elf;
    std::optional<Error> elf_error;  ///< an ELF, but a bad one: a Multiboot header may still carry it
    bool has_multiboot1 = false;
    bool has_multiboot2 = false;
};

KernelChoice chosen(Protocol protocol, bool is_linux, std::string_view why) {
    return {.protocol = protocol, .is_bzimage = false, .is_linux = is_linux, .why = std::string(why)};
}

std::string describe_start(std::span<const std::byte> start) {
    std::string hex;
    std::string text;
    for (const std::byte byte : start.first(std::min<std::size_t>(start.size(), 8))) {
        const auto value = std::to_integer<u8>(byte);
        hex += fmt::format("{}{:02x}", hex.empty() ? "" : " ", value);
        text += value >= 0x20 && value < 0x7f ? static_cast<char>(value) : '.';
    }
    return fmt::format("{} \"{}\"", hex, text);
}

Unexpected refuse_unknown(const Finding& found, std::span<const std::byte> start) {
    if (found.elf_error) return fail(Error(*found.elf_error));
    if (found.elf)
        return fail(
            Error::invalid("this ELF32 has no PVH note, no Multiboot header and no Multiboot 2 header")
                .hint("the Linux 64-bit protocol needs an ELF64"));
    if (const std::optional<Packing> packing = identify_packing(start); packing && *packing != Packing::Lzma)
        return fail(Error::invalid(fmt::format("this is a {} file, not a kernel", to_string(*packing)))
                        .hint("unpack it first"));
    return fail(Error::invalid(fmt::format(
        "this is no kernel: no bzImage, ELF or Multiboot header; it starts with {}", describe_start(start))));
}

Result<KernelChoice> choose_bzimage(const Image& kernel, Protocol wanted) {
    if (wanted != Protocol::Auto && wanted != Protocol::Linux)
        return fail(
            Error::invalid(fmt::format("this is a bzImage, which protocol {} cannot boot", to_string(wanted)))
                .hint("--protocol linux, or the ELF vmlinux"));
    const BzImage bz = TRY(read_bzimage(kernel));
    KernelChoice choice{
        .protocol = Protocol::Linux, .is_bzimage = true, .is_linux = bz.packing.has_value(), .why = {}};
    if (bz.packing)
        choice.why = fmt::format("bzImage with a {} payload, unpacked here", to_string(*bz.packing));
    else
        choice.why = fmt::format("bzImage without a compressed ELF, entered whole at its {}-bit entry",
                                 bz.has_entry_64 ? 64 : 32);
    return choice;
}

Result<KernelChoice> choose_auto(const Finding& found, std::span<const std::byte> start) {
    const bool is_elf64 = found.elf && found.elf->is_64;
    if (is_elf64 && found.elf->says_linux) return chosen(Protocol::Linux, true, "ELF64 with a note of Linux");
    if (found.elf && found.elf->pvh_entry)
        return chosen(Protocol::Pvh, found.elf->says_linux,
                      is_elf64 ? "ELF64 with a PVH note" : "ELF32 with a PVH note");
    if (found.has_multiboot2) return chosen(Protocol::Multiboot2, false, "Multiboot 2 header");
    if (found.has_multiboot1) return chosen(Protocol::Multiboot, false, "Multiboot header");
    if (is_elf64) return chosen(Protocol::Linux, false, "ELF64 without a PVH note or Multiboot header");
    return refuse_unknown(found, start);
}

Result<KernelChoice> choose_wanted(const Finding& found, Protocol wanted) {
    const bool is_linux = found.elf && found.elf->says_linux;
    const char* missing = "";
    switch (wanted) {
        case Protocol::Linux:
            if (found.elf && found.elf->is_64) return chosen(wanted, is_linux, "ELF64, as asked for");
            missing = "a bzImage or an ELF64";
            break;
        case Protocol::Pvh:
            if (found.elf && found.elf->pvh_entry) return chosen(wanted, is_linux, "PVH note, as asked for");
            missing = "an ELF with a PVH note";
            break;
        case Protocol::Multiboot:
            if (found.has_multiboot1) return chosen(wanted, false, "Multiboot header, as asked for");
            missing = "a Multiboot header in the first 8192 bytes";
            break;
        case Protocol::Multiboot2:
            if (found.has_multiboot2) return chosen(wanted, false, "Multiboot 2 header, as asked for");
            missing = "a Multiboot 2 header in the first 32768 bytes";
            break;
        case Protocol::Auto: UNREACHABLE();
    }
    if (found.elf_error) return fail(Error(*found.elf_error));
    return refuse("protocol {} needs {}, and this file has none", to_string(wanted), missing);
}

/// The file's first bytes are extended to the Multiboot search range only when nothing better was found.
Result<void> look_for_multiboot(const Image& kernel, std::vector<std::byte>& start, Finding& found) {
    const u64 known = start.size();
    start.resize(std::min(kSearchBytes, kernel.size_bytes()));
    TRY_VOID(kernel.read(known, std::span(start).subspan(known)));
    found.has_multiboot1 = find_multiboot1(start).has_value();
    found.has_multiboot2 = find_multiboot2(start).has_value();
    return {};
}

Result<KernelChoice> choose(const Image& kernel, Protocol wanted) {
    std::vector<std::byte> start(std::min(kFirstBytes, kernel.size_bytes()));
    TRY_VOID(kernel.read(0, start));
    if (is_bzimage(start)) return choose_bzimage(kernel, wanted);
    Finding found;
    if (is_elf(start)) {
        Result<ElfKernel> elf = read_elf(kernel);
        if (elf)
            found.elf = std::move(*elf);
        else
            found.elf_error = elf.error();
    }
    const bool is_settled =
        found.elf && ((found.elf->is_64 && found.elf->says_linux) || found.elf->pvh_entry);
    const bool wants_multiboot = wanted == Protocol::Multiboot || wanted == Protocol::Multiboot2;
    if (wants_multiboot || (wanted == Protocol::Auto && !is_settled))
        TRY_VOID(look_for_multiboot(kernel, start, found));
    return wanted == Protocol::Auto ? choose_auto(found, start) : choose_wanted(found, wanted);
}

}  // namespace

std::string_view to_string(Protocol protocol) {
    switch (protocol) {
        case Protocol::Auto: return "auto";
        case Protocol::Linux: return "linux";
        case Protocol::Pvh: return "pvh";
        case Protocol::Multiboot: return "multiboot";
        case Protocol::Multiboot2: return "multiboot2";
    }
    UNREACHABLE();
}

Result<KernelChoice> choose_kernel(const Image& kernel, Protocol wanted) {
    return about(choose(kernel, wanted), kernel.name());
}

Result<std::optional<Image>> unpack_kernel(const Image& kernel, const KernelChoice& choice,
                                           u64 memory_bytes) {
    if (!choice.is_bzimage) return std::optional<Image>();
    return unpack_bzimage(kernel, memory_bytes);
}

Result<EntryState> load_guest(const Image& kernel, const KernelChoice& choice, const BootRequest& request,
                              GuestRam& ram, const MemoryMap& map) {
    write_bios_data(ram.memory());
    if (choice.is_bzimage) return load_bzimage(kernel, request, ram, map);
    switch (choice.protocol) {
        case Protocol::Linux: return load_linux_elf(kernel, request, ram, map);
        case Protocol::Pvh: return load_pvh(kernel, request, ram, map);
        case Protocol::Multiboot: return load_multiboot1(kernel, request, ram, map);
        case Protocol::Multiboot2: return load_multiboot2(kernel, request, ram, map);
        case Protocol::Auto: break;
    }
    UNREACHABLE();
}

}  // namespace mayfly
