// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/boot.h"

#include <algorithm>

#include "firmware/boot/bios_data.h"
#include "firmware/boot/bzimage_load.h"
#include "firmware/boot/linux_boot.h"
#include "firmware/boot/multiboot1.h"
#include "firmware/boot/multiboot2.h"
#include "firmware/boot/pvh.h"
#include "firmware/image/refuse.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

/// The wider of the two Multiboot searches.
constexpr u64 kSearchBytes = 32768;

/// A choice without the headers that it was based on.
KernelChoice chosen(Protocol protocol, bool is_linux, std::string_view why) {
    return {.protocol = protocol, .is_linux = is_linux, .why = std::string(why), .headers = {}};
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

Unexpected refuse_unknown(const KernelHeaders& found, std::span<const std::byte> start) {
    if (found.elf && !*found.elf) return fail(Error(found.elf->error()));
    if (found.elf)
        return fail(
            Error::invalid("this ELF32 has no PVH note, no Multiboot header and no Multiboot 2 header")
                .hint("the Linux 64-bit protocol needs an ELF64"));
    if (const std::optional<Packing> packing = identify_packing(start); packing && *packing != Packing::Lzma)
        return fail(Error::invalid(fmt::format("this is a {} file, not a kernel", to_string(*packing)))
                        .hint("unpack it first"));
    return fail(Error::invalid(fmt::format(
        "not a kernel: no bzImage, ELF or Multiboot header; it starts with {}", describe_start(start))));
}

Result<void> check_bzimage_wanted(Protocol wanted) {
    if (wanted != Protocol::Auto && wanted != Protocol::Linux)
        return fail(
            Error::invalid(fmt::format("this is a bzImage, which protocol {} cannot boot", to_string(wanted)))
                .hint("--protocol linux, or the ELF vmlinux"));
    return {};
}

KernelChoice choose_bzimage(const BzImage& bz) {
    if (bz.packing)
        return chosen(Protocol::Linux, true,
                      fmt::format("bzImage with a {} payload, unpacked here", to_string(*bz.packing)));
    return chosen(Protocol::Linux, false,
                  fmt::format("bzImage without a compressed ELF, entered whole at its {}-bit entry",
                              bz.has_entry_64 ? 64 : 32));
}

Result<KernelChoice> choose_auto(const KernelHeaders& found, std::span<const std::byte> start) {
    const ElfKernel* elf = good_elf(found.elf);
    const bool is_elf64 = elf != nullptr && elf->is_64;
    if (is_elf64 && elf->says_linux) return chosen(Protocol::Linux, true, "ELF64 with a note of Linux");
    if (elf != nullptr && elf->pvh_entry)
        return chosen(Protocol::Pvh, elf->says_linux,
                      is_elf64 ? "ELF64 with a PVH note" : "ELF32 with a PVH note");
    if (found.multiboot2) return chosen(Protocol::Multiboot2, false, "Multiboot 2 header");
    if (found.multiboot1) return chosen(Protocol::Multiboot, false, "Multiboot header");
    if (is_elf64) return chosen(Protocol::Linux, false, "ELF64 without a PVH note or Multiboot header");
    return refuse_unknown(found, start);
}

Result<KernelChoice> choose_wanted(const KernelHeaders& found, Protocol wanted) {
    const ElfKernel* elf = good_elf(found.elf);
    const bool is_linux = elf != nullptr && elf->says_linux;
    const char* missing = "";
    switch (wanted) {
        case Protocol::Linux:
            if (elf != nullptr && elf->is_64) return chosen(wanted, is_linux, "ELF64, as requested");
            missing = "a bzImage or an ELF64";
            break;
        case Protocol::Pvh:
            if (elf != nullptr && elf->pvh_entry) return chosen(wanted, is_linux, "PVH note, as requested");
            missing = "an ELF with a PVH note";
            break;
        case Protocol::Multiboot:
            if (found.multiboot1) return chosen(wanted, false, "Multiboot header, as requested");
            missing = "a Multiboot header in the first 8192 bytes";
            break;
        case Protocol::Multiboot2:
            if (found.multiboot2) return chosen(wanted, false, "Multiboot 2 header, as requested");
            missing = "a Multiboot 2 header in the first 32768 bytes";
            break;
        case Protocol::Auto: UNREACHABLE();
    }
    if (found.elf && !*found.elf) return fail(Error(found.elf->error()));
    return refuse("protocol {} needs {}, which this file lacks", to_string(wanted), missing);
}

/// Nothing better was found, or it was requested.
bool may_be_multiboot(const MaybeElf& elf, Protocol wanted) {
    if (wanted != Protocol::Auto) return wanted == Protocol::Multiboot || wanted == Protocol::Multiboot2;
    const ElfKernel* good = good_elf(elf);
    return good == nullptr || !((good->is_64 && good->says_linux) || good->pvh_entry);
}

Result<KernelChoice> choose(const Image& kernel, Protocol wanted) {
    HeaderWindow window = TRY(HeaderWindow::open(kernel));
    KernelHeaders found;
    KernelChoice choice;
    if (is_bzimage(window.bytes())) {
        TRY_VOID(check_bzimage_wanted(wanted));
        found.bzimage = TRY(read_bzimage(window));
        choice = choose_bzimage(*found.bzimage);
    } else {
        if (is_elf(window.bytes())) found.elf = read_elf(window);
        if (found.elf && *found.elf && (*found.elf)->says_linux)
            (*found.elf)->sections = ElfSections::read(window);
        if (may_be_multiboot(found.elf, wanted)) {
            TRY_VOID(window.widen(kSearchBytes));
            found.multiboot1 = find_multiboot1(window.bytes());
            found.multiboot2 = find_multiboot2(window.bytes());
        }
        choice =
            TRY(wanted == Protocol::Auto ? choose_auto(found, window.bytes()) : choose_wanted(found, wanted));
    }
    choice.headers = std::move(found);
    return choice;
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
    if (!choice.headers.bzimage) return std::optional<Image>();
    return unpack_bzimage(kernel, *choice.headers.bzimage, memory_bytes);
}

UnpackedKernel read_unpacked(Image image) {
    UnpackedKernel unpacked{.image = std::move(image), .elf = {}};
    const Result<HeaderWindow> window = HeaderWindow::open(unpacked.image);
    if (!window)
        unpacked.elf = fail(Error(window.error()));
    else if (is_elf(window->bytes()))
        unpacked.elf = read_elf(*window);
    if (unpacked.elf && *unpacked.elf) (*unpacked.elf)->sections = ElfSections::read(*window);
    return unpacked;
}

Result<EntryState> load_guest(const Image& kernel, const KernelChoice& choice, const BootRequest& request,
                              GuestRam& ram, const MemoryMap& map) {
    const KernelHeaders& headers = choice.headers;
    write_bios_data(ram.memory());
    if (headers.bzimage) return load_bzimage(kernel, *headers.bzimage, request, ram, map);
    switch (choice.protocol) {
        case Protocol::Linux: return load_linux_elf({kernel, **headers.elf}, request, ram, map);
        case Protocol::Pvh: return load_pvh({kernel, **headers.elf}, request, ram, map);
        case Protocol::Multiboot: return load_multiboot1(kernel, headers, request, ram, map);
        case Protocol::Multiboot2: return load_multiboot2(kernel, headers, request, ram, map);
        case Protocol::Auto: break;
    }
    UNREACHABLE();
}

}  // namespace mayfly
