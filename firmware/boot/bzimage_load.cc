// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/bzimage_load.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <asm/bootparam.h>

#include "firmware/boot/elf_kernel.h"
#include "firmware/boot/linux_boot.h"
#include "firmware/boot/linux_boot_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

using namespace linux_boot;

/// A distribution's kernel unpacks to less than 100 MiB; a larger size is not credible.
constexpr u64 kUnpackedBytesMax = GiB(1);

LinuxSetup linux_setup(const BzImage& bz) {
    return {.header = bz.header,
            .command_line_max = bz.command_line_max,
            .initrd_address_max = bz.initrd_address_max};
}

/// The vmlinux in the payload. Its size is the payload's last four bytes: the build appends it to every
/// compressor's output (scripts/Makefile.lib "size_append"), and gzip's trailer contains it.
Result<Image> unpack_payload(const Image& image, const BzImage& bz, u64 memory_bytes) {
    constexpr u64 kTrailerBytes = 4;
    TRY_VOID(require_decoder(*bz.packing));
    if (bz.payload_bytes < 2 * kTrailerBytes)
        return refuse("the payload has {} bytes, too few for a compressed kernel", bz.payload_bytes);
    const u64 limit = std::min(kUnpackedBytesMax, memory_bytes);
    if (bz.payload_bytes > limit)
        return refuse("the {} payload has {} bytes, the limit is {}", to_string(*bz.packing),
                      bz.payload_bytes, print_size(limit));
    const ImageBytes packed = TRY(image.bytes(bz.payload_offset_bytes, bz.payload_bytes));
    u32 unpacked_bytes = 0;
    std::memcpy(&unpacked_bytes, packed.bytes.last(kTrailerBytes).data(), kTrailerBytes);
    if (unpacked_bytes == 0 || unpacked_bytes > limit)
        return refuse("the {} payload claims to unpack to {} bytes, the limit is {}", to_string(*bz.packing),
                      unpacked_bytes, print_size(limit));
    const u64 stream_bytes = bz.payload_bytes - (*bz.packing == Packing::Gzip ? 0 : kTrailerBytes);
    Mapping unpacked =
        TRY(unpack(*bz.packing, packed.bytes.first(stream_bytes), unpacked_bytes, image.stop()));
    return Image::from_mapping("the unpacked kernel", std::move(unpacked), unpacked_bytes, image.stop());
}

/// Keeps the initrd out of the memory that the kernel uses early on, as far as RAM allows.
Result<void> claim_working_memory(const BzImage& bz, const GuestMemory& memory, Occupancy& occupancy) {
    const Gpa taken = occupancy.claimed_end(layout::kHole);
    const Gpa end = bz.load_base + bz.init_bytes;
    if (end <= taken || end > layout::kHole || !memory.contains(taken, end - taken)) return {};
    return occupancy.claim(taken, end - taken, "the kernel's working memory");
}

Result<EntryState> load_payload(const Image& image, const BzImage& bz, const BootRequest& request,
                                GuestRam& ram, const MemoryMap& map) {
    std::optional<UnpackedKernel> unpacked;
    if (request.vmlinux == nullptr)
        unpacked =
            read_unpacked(TRY(about(unpack_payload(image, bz, ram.memory().size_bytes()), image.name())));
    const UnpackedKernel& vmlinux = request.vmlinux != nullptr ? *request.vmlinux : *unpacked;
    if (!vmlinux.elf)
        return about<EntryState>(refuse("the {} payload does not hold an ELF", to_string(*bz.packing)),
                                 image.name());
    if (!*vmlinux.elf) return fail(Error(vmlinux.elf->error()).about(image.name()));
    const ElfKernel& elf = **vmlinux.elf;
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf({vmlinux.image, elf}, 0, ram, occupancy), image.name()));
    TRY_VOID(about(claim_working_memory(bz, ram.memory(), occupancy), image.name()));
    const u64 entry = TRY(about(find_entry(elf, elf.entry), image.name()));
    // A 32-bit vmlinux has the 32-bit protocol's entry, with the same zero page.
    const CpuMode mode = elf.is_64 ? CpuMode::Long64 : CpuMode::Protected32;
    return finish_linux(linux_setup(bz), request, mode, entry, ram, map, occupancy);
}

Result<void> place_whole(const Image& image, const BzImage& bz, GuestRam& ram, Occupancy& occupancy) {
    const u64 memory_bytes = std::max(bz.kernel_bytes, bz.init_bytes);
    TRY_VOID(occupancy.claim(bz.load_base, memory_bytes, "the kernel"));
    const Gpa last = bz.load_base + (memory_bytes - 1);
    if (last.value > ~u32{0})
        return refuse("the kernel wants to be loaded at {:#x}, above 4 GiB", bz.load_base.value);
    if (bz.has_entry_64 && bz.kernel_bytes <= kEntry64Offset)
        return refuse("the kernel's 64-bit entry at byte {} is beyond its {} bytes", kEntry64Offset,
                      bz.kernel_bytes);
    return image.place(ram, bz.load_base, bz.kernel_offset_bytes, bz.kernel_bytes);
}

Result<EntryState> load_whole(const Image& image, const BzImage& bz, const BootRequest& request,
                              GuestRam& ram, const MemoryMap& map) {
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(place_whole(image, bz, ram, occupancy), image.name()));
    LinuxSetup setup = linux_setup(bz);
    const u32 code32_start = static_cast<u32>(bz.load_base.value);
    constexpr u64 kAt = offsetof(setup_header, code32_start);
    if (setup.header.size() >= kAt + sizeof(code32_start))
        std::memcpy(setup.header.data() + kAt, &code32_start, sizeof(code32_start));
    const CpuMode mode = bz.has_entry_64 ? CpuMode::Long64 : CpuMode::Protected32;
    const u64 entry = bz.load_base.value + (bz.has_entry_64 ? kEntry64Offset : 0);
    return finish_linux(setup, request, mode, entry, ram, map, occupancy);
}

}  // namespace

Result<std::optional<Image>> unpack_bzimage(const Image& image, const BzImage& bz, u64 memory_bytes) {
    if (!bz.packing) return std::optional<Image>();
    return std::optional<Image>(TRY(about(unpack_payload(image, bz, memory_bytes), image.name())));
}

Result<EntryState> load_bzimage(const Image& image, const BzImage& bz, const BootRequest& request,
                                GuestRam& ram, const MemoryMap& map) {
    if (bz.packing) return load_payload(image, bz, request, ram, map);
    return load_whole(image, bz, request, ram, map);
}

}  // namespace mayfly
