// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/bzimage.h"

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

/// A distribution's kernel unpacks to less than 100 MiB; this is where we stop believing.
constexpr u64 kUnpackedBytesMax = GiB(1);

constexpr u64 kHeaderBegin = offsetof(boot_params, hdr);
constexpr u64 kHeaderEndMax = offsetof(boot_params, edd_mbr_sig_buffer);

/// In the file's first sector and behind, as in the zero page.
using Sector = std::array<std::byte, kHeaderEndMax>;

constexpr u64 offset_in_file(u64 offset_in_header) { return kHeaderBegin + offset_in_header; }

/// As much of it as there is.
setup_header header_at(std::span<const std::byte> start) {
    setup_header header{};
    const auto there = start.subspan(kHeaderBegin);
    std::memcpy(&header, there.data(), std::min(there.size(), sizeof(header)));
    return header;
}

/// Where the protected-mode part lies. boot.rst "setup_sects": 0 means 4.
Result<void> read_extent(const setup_header& header, u64 file_bytes, BzImage& bz) {
    const u64 setup_sects = header.setup_sects == 0 ? 4 : header.setup_sects;
    bz.kernel_offset_bytes = (setup_sects + 1) * kSectorBytes;
    if (bz.kernel_offset_bytes >= file_bytes)
        return refuse("truncated: the setup code of this bzImage has {} bytes, the file has {}",
                      bz.kernel_offset_bytes, file_bytes);
    // syssize counts 16-byte units, the last one perhaps incomplete. What follows (a signature) is not
    // loaded.
    const u64 rest_bytes = file_bytes - bz.kernel_offset_bytes;
    const u64 named_bytes = u64{header.syssize} * 16;
    if (named_bytes > rest_bytes + 15)
        return refuse("truncated: this bzImage has {} bytes of kernel at byte {}, the file has {}",
                      named_bytes, bz.kernel_offset_bytes, file_bytes);
    bz.kernel_bytes = named_bytes == 0 ? rest_bytes : std::min(named_bytes, rest_bytes);
    return {};
}

/// Fields came with protocol versions; before that their bytes meant something else.
Result<void> read_versioned(const Sector& start, const setup_header& header, BzImage& bz) {
    const u16 version = bz.version;
    bz.command_line_max = version >= 0x0206 ? header.cmdline_size : 255;
    bz.initrd_address_max = version >= 0x0203 ? header.initrd_addr_max : 0x37ff'ffff;
    bz.has_entry_64 = version >= 0x020c && (header.xloadflags & XLF_KERNEL_64) != 0;
    bz.load_base = layout::kHighMemory;
    if (version >= 0x020a) {
        bz.load_base = Gpa{header.pref_address};
        bz.init_bytes = header.init_size;
    }
    // boot.rst "The Real-Mode Kernel Header": it ends where the jump goes, whose second byte is how far.
    const u64 jump_bytes = header.jump >> 8;
    const u64 header_end =
        std::min(offset_in_file(offsetof(setup_header, header)) + jump_bytes, kHeaderEndMax);
    constexpr u64 kCommandLine = offset_in_file(offsetof(setup_header, cmd_line_ptr));
    if (header_end < kCommandLine + sizeof(header.cmd_line_ptr))
        return refuse("the setup header ends at byte {:#x}, before its command line field at {:#x}",
                      header_end, kCommandLine);
    const auto bytes = std::span(start).subspan(kHeaderBegin, header_end - kHeaderBegin);
    bz.header.assign(bytes.begin(), bytes.end());
    return {};
}

Result<void> read_payload(const Image& image, const setup_header& header, BzImage& bz) {
    if (bz.version < 0x0208) return {};
    const u64 offset = header.payload_offset;
    const u64 bytes = header.payload_length;
    if (bytes == 0) return {};
    if (offset > bz.kernel_bytes || bytes > bz.kernel_bytes - offset)
        return refuse("truncated: the payload is {} bytes at byte {} of the kernel, which has {}", bytes,
                      offset, bz.kernel_bytes);
    bz.payload_offset_bytes = bz.kernel_offset_bytes + offset;
    bz.payload_bytes = bytes;
    std::array<std::byte, 9> magic{};
    const auto there = std::span(magic).first(std::min<u64>(magic.size(), bytes));
    TRY_VOID(image.read(bz.payload_offset_bytes, there));
    bz.packing = identify_packing(there);
    return {};
}

LinuxSetup linux_setup(const BzImage& bz) {
    return {.header = bz.header,
            .command_line_max = bz.command_line_max,
            .initrd_address_max = bz.initrd_address_max};
}

/// The vmlinux in the payload. Its size is the payload's last four bytes: every compressor's output is
/// followed by it (scripts/Makefile.lib "size_append"), and gzip's trailer is it.
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

/// Keeps the initrd out of the memory that the kernel uses early on, as far as there is that much.
Result<void> claim_working_memory(const BzImage& bz, const GuestMemory& memory, Occupancy& occupancy) {
    const Gpa taken = occupancy.claimed_end(layout::kHole);
    const Gpa end = bz.load_base + bz.init_bytes;
    if (end <= taken || end > layout::kHole || !memory.contains(taken, end - taken)) return {};
    return occupancy.claim(taken, end - taken, "the kernel's working memory");
}

Result<EntryState> load_payload(const Image& image, const BzImage& bz, const BootRequest& request,
                                GuestRam& ram, const MemoryMap& map) {
    std::optional<Image> unpacked;
    if (request.vmlinux == nullptr)
        unpacked = TRY(about(unpack_payload(image, bz, ram.memory().size_bytes()), image.name()));
    const Image& vmlinux = request.vmlinux != nullptr ? *request.vmlinux : *unpacked;
    std::array<std::byte, 4> magic{};
    if (vmlinux.size_bytes() >= magic.size()) TRY_VOID(vmlinux.read(0, magic));
    if (!is_elf(magic))
        return about<EntryState>(refuse("the {} payload does not hold an ELF", to_string(*bz.packing)),
                                 image.name());
    const ElfKernel elf = TRY(about(read_elf(vmlinux), image.name()));
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf(vmlinux, elf, 0, ram, occupancy), image.name()));
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

Result<EntryState> load_whole(const Image& image, BzImage& bz, const BootRequest& request, GuestRam& ram,
                              const MemoryMap& map) {
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

bool is_bzimage(std::span<const std::byte> start) {
    if (start.size() < offset_in_file(offsetof(setup_header, version))) return false;
    const setup_header header = header_at(start);
    return header.boot_flag == kBootFlag && header.header == kHeaderMagic;
}

Result<BzImage> read_bzimage(const Image& image) {
    Sector start{};
    if (image.size_bytes() < start.size())
        return refuse("truncated: a bzImage has at least {} bytes, the file has {}", start.size(),
                      image.size_bytes());
    TRY_VOID(image.read(0, start));
    const setup_header header = header_at(start);
    BzImage bz;
    bz.version = header.version;
    // boot.rst "The Kernel Command Line": before 2.02 it was passed in another way.
    if (bz.version < 0x0202)
        return refuse("boot protocol version {}.{:02} is older than 2.02", bz.version >> 8,
                      bz.version & 0xff);
    if ((header.loadflags & LOADED_HIGH) == 0)
        return refuse("this is a zImage, which loads below 1 MiB; only bzImages can be booted");
    TRY_VOID(read_extent(header, image.size_bytes(), bz));
    TRY_VOID(read_versioned(start, header, bz));
    TRY_VOID(read_payload(image, header, bz));
    return bz;
}

Result<std::optional<Image>> unpack_bzimage(const Image& image, u64 memory_bytes) {
    const BzImage bz = TRY(about(read_bzimage(image), image.name()));
    if (!bz.packing) return std::optional<Image>();
    return std::optional<Image>(TRY(about(unpack_payload(image, bz, memory_bytes), image.name())));
}

Result<EntryState> load_bzimage(const Image& image, const BootRequest& request, GuestRam& ram,
                                const MemoryMap& map) {
    BzImage bz = TRY(about(read_bzimage(image), image.name()));
    if (bz.packing) return load_payload(image, bz, request, ram, map);
    return load_whole(image, bz, request, ram, map);
}

}  // namespace mayfly
