// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_boot.h"

#include <algorithm>
#include <cstring>

#include "firmware/boot/cpu_tables.h"
#include "firmware/boot/elf_kernel.h"
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

/// boot_params, in a place that is RAM.
class ZeroPage {
  public:
    ZeroPage(const GuestMemory& memory, Gpa at) : memory_(memory), at_(at) {}

    template <typename T>
    void put(u64 offset_bytes, T value) const {
        VERIFY(memory_.write_object<T>(at_ + offset_bytes, value) == MemStatus::Ok);
    }
    void put_bytes(u64 offset_bytes, std::span<const std::byte> bytes) const {
        VERIFY(memory_.write(at_ + offset_bytes, bytes) == MemStatus::Ok);
    }

  private:
    const GuestMemory& memory_;
    Gpa at_;
};

template <typename T>
void put_header(std::vector<std::byte>& header, u64 offset_bytes, T value) {
    std::memcpy(header.data() + (offset_bytes - kSetupHeader), &value, sizeof(value));
}

u32 low_half(u64 value) { return static_cast<u32>(value); }
u32 high_half(u64 value) { return static_cast<u32>(value >> 32); }

Result<void> place_initrd(const Image& initrd, const LinuxSetup& setup, GuestRam& ram, const MemoryMap& map,
                          Occupancy& occupancy, const ZeroPage& page) {
    const u64 size = initrd.size_bytes();
    const Gpa end{std::min(setup.initrd_address_max + 1, map.low_ram_end().value)};
    // boot.rst "ramdisk_image": as high in memory as possible, since low memory may be wanted by the kernel.
    const std::optional<Gpa> at = occupancy.find_below(end, size);
    if (!at)
        return refuse("initrd {}: no room for its {} bytes in guest RAM below {:#x}, beside the kernel",
                      initrd.name(), size, end.value);
    TRY_VOID(occupancy.claim(*at, size, "the initrd"));
    TRY_VOID(about(initrd.place(ram, *at, 0, size), initrd.name()));
    // The guest reads it, then frees its pages and soon has other uses for them: read first, written later.
    const bool is_mapped = initrd.file() != nullptr && size >= Image::kPlaceByPageMin;
    if (is_mapped && size <= kInitrdPopulatedMax) ram.populate(*at, align_down(size, kPageBytes));
    page.put<u32>(kRamdiskImage, low_half(at->value));
    page.put<u32>(kRamdiskSize, low_half(size));
    page.put<u32>(kExtRamdiskImage, high_half(at->value));
    page.put<u32>(kExtRamdiskSize, high_half(size));
    return {};
}

void write_e820(const ZeroPage& page, const MemoryMap& map) {
    static_assert(MemoryMap::kRangesMax <= kE820EntryMax);
    u64 at = kE820Table;
    for (const MemoryRange& range : map.ranges()) {
        page.put(at, boot_e820_entry{range.base.value, range.size_bytes, static_cast<u32>(range.type)});
        at += sizeof(boot_e820_entry);
    }
    page.put<u8>(kE820Entries, static_cast<u8>(map.ranges().size()));
}

/// A list of one: the seed that lets the guest's random generator start without waiting.
Result<void> write_setup_data(const GuestMemory& memory, Occupancy& occupancy, const ZeroPage& page,
                              const std::array<u8, 32>& seed) {
    const setup_data head{0, SETUP_RNG_SEED, static_cast<u32>(seed.size())};
    const Gpa at = TRY(occupancy.place(layout::kSetupData, sizeof(head) + sizeof(seed), "the setup data"));
    VERIFY(memory.write_object(at, head) == MemStatus::Ok);
    VERIFY(memory.write_object(at + sizeof(head), seed) == MemStatus::Ok);
    page.put<u64>(kSetupData, at.value);
    return {};
}

}  // namespace

LinuxSetup linux_setup_for_elf() {
    LinuxSetup setup;
    setup.header.resize(kSetupHeaderEnd - kSetupHeader);
    put_header<u16>(setup.header, kBootFlag, kBootFlagValue);
    put_header<u32>(setup.header, kHeader, kHeaderValue);
    // 2.15: the kernel then believes in setup_data, the high halves and acpi_rsdp_addr.
    put_header<u16>(setup.header, kVersion, 0x020f);
    put_header<u8>(setup.header, kLoadflags, LOADED_HIGH);
    put_header<u32>(setup.header, kInitrdAddrMax, static_cast<u32>(setup.initrd_address_max));
    put_header<u32>(setup.header, kKernelAlignment, 0x0100'0000);
    put_header<u32>(setup.header, kCmdlineSize, static_cast<u32>(setup.command_line_max));
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
    const Gpa at = TRY(occupancy.place(layout::kZeroPage, kPageBytes, "the zero page"));
    const ZeroPage page(memory, at);
    const u64 header_bytes = std::min<u64>(setup.header.size(), kSetupHeaderEnd - linux_boot::kSetupHeader);
    page.put_bytes(kSetupHeader, std::span(setup.header).first(header_bytes));
    page.put<u8>(kTypeOfLoader, kLoaderUndefined);
    page.put<u64>(kAcpiRsdpAddr, request.rsdp.value);
    const Gpa command_line =
        TRY(write_command_line(memory, occupancy, request.command_line, setup.command_line_max));
    page.put<u32>(kCmdLinePtr, low_half(command_line.value));
    write_e820(page, map);
    TRY_VOID(write_setup_data(memory, occupancy, page, request.rng_seed));
    if (request.initrd != nullptr) TRY_VOID(place_initrd(*request.initrd, setup, ram, map, occupancy, page));
    state.rip = entry;
    state.rsi = at.value;
    return state;
}

Result<EntryState> load_linux_elf(const Image& kernel, const BootRequest& request, GuestRam& ram,
                                  const MemoryMap& map) {
    const ElfKernel elf = TRY(about(read_elf(kernel), kernel.name()));
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf(kernel, elf, 0, ram, occupancy), kernel.name()));
    const u64 entry = TRY(about(find_entry(elf, elf.entry), kernel.name()));
    return finish_linux(linux_setup_for_elf(), request, CpuMode::Long64, entry, ram, map, occupancy);
}

}  // namespace mayfly
