// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_boot.h"

#include <algorithm>
#include <cstring>

#include <asm/bootparam.h>

#include "firmware/boot/cpu_tables.h"
#include "firmware/boot/info_writer.h"
#include "firmware/boot/linux_boot_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

using namespace linux_boot;

/// Copying takes some 0.1 ms a MiB, before the guest starts.
constexpr u64 kInitrdPopulatedMax = MiB(32);

u32 low_half(u64 value) { return static_cast<u32>(value); }
u32 high_half(u64 value) { return static_cast<u32>(value >> 32); }

/// The page as the kernel's setup header leaves it.
boot_params zero_page(std::span<const std::byte> header) {
    boot_params page{};
    constexpr u64 kBegin = offsetof(boot_params, hdr);
    constexpr u64 kEnd = offsetof(boot_params, edd_mbr_sig_buffer);
    // A kernel's header may be longer than the known one.
    const auto bytes = std::as_writable_bytes(std::span(&page, 1)).subspan(kBegin, kEnd - kBegin);
    std::memcpy(bytes.data(), header.data(), std::min(bytes.size(), header.size()));
    return page;
}

Result<Gpa> place_initrd(const Image& initrd, const LinuxSetup& setup, GuestRam& ram, const MemoryMap& map,
                         Occupancy& occupancy) {
    const u64 size = initrd.size_bytes();
    const Gpa end{std::min(setup.initrd_address_max + 1, map.low_ram_end().value)};
    // boot.rst "ramdisk_image": as high in memory as possible, since the kernel may need low memory.
    const std::optional<Gpa> at = occupancy.find_below(end, size);
    if (!at)
        return refuse("initrd {}: no room for its {} bytes in guest RAM below {:#x}, beside the kernel",
                      initrd.name(), size, end.value);
    TRY_VOID(occupancy.claim(*at, size, "the initrd"));
    TRY_VOID(about(initrd.place(ram, *at, 0, size), initrd.name()));
    // The guest reads the initrd, then frees its pages and soon reuses them: read first, written later.
    const bool is_mapped = initrd.file() != nullptr && size >= Image::kPlaceByPageMin;
    if (is_mapped && size <= kInitrdPopulatedMax) ram.populate(*at, align_down(size, kPageBytes));
    return *at;
}

/// A list of one entry: the seed that lets the guest's random generator start without waiting. \returns its
/// place.
Result<Gpa> write_setup_data(const GuestMemory& memory, Occupancy& occupancy,
                             const std::array<u8, 32>& seed) {
    setup_data head{};
    head.type = SETUP_RNG_SEED;
    head.len = static_cast<u32>(seed.size());
    const Gpa at = TRY(occupancy.place(layout::kSetupData, sizeof(head) + sizeof(seed), "the setup data"));
    VERIFY(memory.write(at, std::as_bytes(std::span(&head, 1))) == MemStatus::Ok);
    VERIFY(memory.write_object(at + sizeof(head), seed) == MemStatus::Ok);
    return at;
}

}  // namespace

LinuxSetup linux_setup_for_elf() {
    LinuxSetup setup;
    setup_header header{};
    header.boot_flag = kBootFlag;
    header.header = kHeaderMagic;
    // 2.15: the kernel then uses setup_data, the high halves and acpi_rsdp_addr.
    header.version = 0x020f;
    header.loadflags = LOADED_HIGH;
    header.initrd_addr_max = static_cast<u32>(setup.initrd_address_max);
    header.kernel_alignment = 0x0100'0000;
    header.cmdline_size = static_cast<u32>(setup.command_line_max);
    const auto bytes = std::as_bytes(std::span(&header, 1));
    setup.header.assign(bytes.begin(), bytes.end());
    return setup;
}

Result<EntryState> finish_linux(const LinuxSetup& setup, const BootRequest& request, CpuMode mode, u64 entry,
                                GuestRam& ram, const MemoryMap& map, Occupancy& occupancy) {
    if (!request.modules.empty())
        return fail(Error::invalid("the Linux boot protocol has no modules")
                        .hint("use --initrd, or a kernel with a PVH note"));
    if (entry >= GiB(4))
        return refuse("the entry point {:#x} is above 4 GiB, where nothing is mapped yet", entry);
    const GuestMemory& memory = ram.memory();
    EntryState state = TRY(prepare_cpu(memory, occupancy, mode));
    const Gpa at = TRY(occupancy.place(layout::kZeroPage, sizeof(boot_params), "the zero page"));
    boot_params page = zero_page(setup.header);
    page.hdr.type_of_loader = kLoaderUndefined;
    page.acpi_rsdp_addr = request.rsdp.value;
    const Gpa command_line =
        TRY(write_command_line(memory, occupancy, request.command_line, setup.command_line_max));
    page.hdr.cmd_line_ptr = low_half(command_line.value);
    static_assert(MemoryMap::kRangesMax <= E820_MAX_ENTRIES_ZEROPAGE);
    for (const MemoryRange& range : map.ranges())
        page.e820_table[page.e820_entries++] = {range.base.value, range.size_bytes,
                                                static_cast<u32>(range.type)};
    page.hdr.setup_data = TRY(write_setup_data(memory, occupancy, request.rng_seed)).value;
    if (request.initrd != nullptr) {
        const Gpa initrd = TRY(place_initrd(*request.initrd, setup, ram, map, occupancy));
        page.hdr.ramdisk_image = low_half(initrd.value);
        page.hdr.ramdisk_size = low_half(request.initrd->size_bytes());
        page.ext_ramdisk_image = high_half(initrd.value);
        page.ext_ramdisk_size = high_half(request.initrd->size_bytes());
    }
    VERIFY(memory.write_object(at, page) == MemStatus::Ok);
    state.rip = entry;
    state.rsi = at.value;
    return state;
}

Result<EntryState> load_linux_elf(const ElfImage& elf, const BootRequest& request, GuestRam& ram,
                                  const MemoryMap& map) {
    const std::string& name = elf.image.name();
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf(elf, 0, ram, occupancy), name));
    const u64 entry = TRY(about(find_entry(elf.kernel, elf.kernel.entry), name));
    return finish_linux(linux_setup_for_elf(), request, CpuMode::Long64, entry, ram, map, occupancy);
}

}  // namespace mayfly
