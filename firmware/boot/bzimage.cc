// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/bzimage.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <asm/bootparam.h>

#include "firmware/boot/linux_boot_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"

namespace mayfly {

namespace {

using namespace linux_boot;

constexpr u64 kHeaderBegin = offsetof(boot_params, hdr);
constexpr u64 kHeaderEndMax = offsetof(boot_params, edd_mbr_sig_buffer);

/// In the file's first sectors, as in the zero page.
using Sector = std::array<std::byte, kHeaderEndMax>;

constexpr u64 offset_in_file(u64 offset_in_header) { return kHeaderBegin + offset_in_header; }

/// As much of the header as the file has.
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
    // syssize counts 16-byte units, the last one perhaps incomplete. The rest (a signature) is not loaded.
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
    // boot.rst "The Real-Mode Kernel Header": it ends at the jump's target, whose distance is the jump's
    // second byte.
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

Result<void> read_payload(const HeaderWindow& window, const setup_header& header, BzImage& bz) {
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
    TRY_VOID(window.read(bz.payload_offset_bytes, there));
    bz.packing = identify_packing(there);
    return {};
}

}  // namespace

bool is_bzimage(std::span<const std::byte> start) {
    if (start.size() < offset_in_file(offsetof(setup_header, version))) return false;
    const setup_header header = header_at(start);
    return header.boot_flag == kBootFlag && header.header == kHeaderMagic;
}

Result<BzImage> read_bzimage(const HeaderWindow& window) {
    const u64 file_bytes = window.image().size_bytes();
    if (file_bytes < kHeaderEndMax)
        return refuse("truncated: a bzImage has at least {} bytes, the file has {}", kHeaderEndMax,
                      file_bytes);
    const Sector start = TRY(window.read_object<Sector>(0));
    const setup_header header = header_at(start);
    BzImage bz;
    bz.version = header.version;
    // boot.rst "The Kernel Command Line": before 2.02 it was passed differently.
    if (bz.version < 0x0202)
        return refuse("boot protocol version {}.{:02} is older than 2.02", bz.version >> 8,
                      bz.version & 0xff);
    if ((header.loadflags & LOADED_HIGH) == 0)
        return refuse("this is a zImage, which loads below 1 MiB; only bzImages can be booted");
    TRY_VOID(read_extent(header, file_bytes, bz));
    TRY_VOID(read_versioned(start, header, bz));
    TRY_VOID(read_payload(window, header, bz));
    return bz;
}

}  // namespace mayfly
