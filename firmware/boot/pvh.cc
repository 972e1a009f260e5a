// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/pvh.h"

#include <vector>

#include "firmware/boot/cpu_tables.h"
#include "firmware/boot/info_writer.h"
#include "firmware/boot/pvh_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"

namespace mayfly {

namespace {

using namespace pvh;

/// Modules go to the top of low RAM, the first one highest, page-aligned so that a file can be mapped there.
Result<hvm_modlist_entry> place_module(const Image& image, Gpa arguments, GuestRam& ram, const MemoryMap& map,
                                       Occupancy& occupancy) {
    const std::optional<Gpa> at = occupancy.find_below(map.low_ram_end(), image.size_bytes());
    if (!at)
        return refuse("{}: no room for its {} bytes in guest RAM below {:#x}, beside the kernel",
                      image.name(), image.size_bytes(), map.low_ram_end().value);
    TRY_VOID(occupancy.claim(*at, image.size_bytes(), image.name()));
    TRY_VOID(about(image.place(ram, *at, 0, image.size_bytes()), image.name()));
    return hvm_modlist_entry{at->value, image.size_bytes(), arguments.value, 0};
}

/// The initrd is the first module: Linux looks for it there.
Result<std::vector<hvm_modlist_entry>> place_modules(const BootRequest& request, InfoWriter& strings,
                                                     GuestRam& ram, const MemoryMap& map,
                                                     Occupancy& occupancy) {
    std::vector<hvm_modlist_entry> list;
    if (request.initrd != nullptr)
        list.push_back(TRY(place_module(*request.initrd, Gpa{0}, ram, map, occupancy)));
    for (const BootModule& module : request.modules) {
        const Gpa arguments = TRY(strings.put_string(module.arguments));
        list.push_back(TRY(place_module(*module.image, arguments, ram, map, occupancy)));
    }
    return list;
}

}  // namespace

Result<EntryState> load_pvh(const ElfImage& elf, const BootRequest& request, GuestRam& ram,
                            const MemoryMap& map) {
    const std::string& name = elf.image.name();
    const u32 entry = elf.kernel.pvh_entry.value();
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf(elf, 0, ram, occupancy), name));
    bool is_loaded = false;
    for (const ElfSegment& segment : elf.kernel.segments)
        is_loaded |= entry >= segment.base.value && entry - segment.base.value < segment.memory_bytes;
    if (!is_loaded)
        return about<EntryState>(refuse("the PVH entry point {:#x} is in no loaded segment", entry), name);

    const GuestMemory& memory = ram.memory();
    EntryState state = TRY(prepare_cpu(memory, occupancy, CpuMode::Protected32));
    const Gpa at = TRY(occupancy.place(layout::kBootInfo, layout::kBootInfoBytes, "the boot information"));
    const Gpa lists_at =
        TRY(occupancy.place(layout::kBootStrings, layout::kBootStringsBytes, "the boot strings"));
    InfoWriter lists(memory, lists_at, layout::kBootStringsBytes);
    const auto modules = TRY(place_modules(request, lists, ram, map, occupancy));
    const Gpa module_list = TRY(lists.put(std::as_bytes(std::span(modules)), 8));
    const Gpa command_line = TRY(write_command_line(memory, occupancy, request.command_line));

    // Start info and memory map share a page: the common case touches no other.
    InfoWriter info(memory, at + sizeof(hvm_start_info), layout::kBootInfoBytes - sizeof(hvm_start_info));
    std::vector<hvm_memmap_table_entry> ranges;
    ranges.reserve(MemoryMap::kRangesMax);
    for (const MemoryRange& range : map.ranges())
        ranges.push_back({range.base.value, range.size_bytes, static_cast<u32>(range.type), 0});
    const Gpa memory_map = TRY(info.put(std::as_bytes(std::span(ranges)), 8));
    const hvm_start_info start{
        .magic = XEN_HVM_START_MAGIC_VALUE,
        .version = kStartInfoVersion,
        .flags = 0,
        .nr_modules = static_cast<u32>(modules.size()),
        .modlist_paddr = modules.empty() ? 0 : module_list.value,
        .cmdline_paddr = command_line.value,
        .rsdp_paddr = request.rsdp.value,
        .memmap_paddr = memory_map.value,
        .memmap_entries = static_cast<u32>(ranges.size()),
        .reserved = 0,
    };
    InfoWriter head(memory, at, sizeof(start));
    TRY_VOID(head.put_object(start));
    state.rip = entry;
    state.rbx = at.value;
    return state;
}

}  // namespace mayfly
