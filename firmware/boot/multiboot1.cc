// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/multiboot1.h"

#include "firmware/boot/info_writer.h"
#include "firmware/boot/multiboot.h"
#include "firmware/boot/multiboot1_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"

namespace mayfly {

namespace {

using namespace multiboot1;

struct KernelPlan {
    ElfKernel kernel;
    u64 entry = 0;
};

Result<void> check_requirements(u32 flags) {
    if ((flags & kVideoMode) != 0)
        return refuse(
            "this Multiboot kernel requires a video mode (header flag 2), and mayfly has no screen");
    const u32 unknown = flags & kRequirements & ~(kPageAlignModules | kMemoryInfo | kVideoMode);
    if (unknown != 0)
        return refuse(
            "this Multiboot kernel requires features {:#x} (header flags) that mayfly does not know",
            unknown);
    return {};
}

/// Multiboot Specification 0.6.96 §3.1.3 "The address fields of Multiboot header": with flag 16 set they win
/// over the ELF headers.
Result<KernelPlan> plan_kernel(const Image& image, const Multiboot1Header& header, const MaybeElf& elf) {
    TRY_VOID(check_requirements(header.flags));
    if ((header.flags & kAddressFields) == 0) {
        if (!elf) return refuse("the Multiboot header has no address fields, and this is not an ELF");
        ElfKernel kernel = TRY(Result<ElfKernel>(*elf));
        const u64 entry = TRY(find_entry(kernel, kernel.entry));
        return KernelPlan{std::move(kernel), entry};
    }
    if (!header.addresses)
        return refuse(
            "truncated: the Multiboot header at byte {} has address fields beyond the file's {} bytes",
            header.offset_bytes, image.size_bytes());
    const Multiboot1Header::Addresses& fields = *header.addresses;
    ElfKernel kernel = TRY(read_address_fields(image, {.header_offset_bytes = header.offset_bytes,
                                                       .header_addr = fields.header_addr,
                                                       .load_addr = fields.load_addr,
                                                       .load_end_addr = fields.load_end_addr,
                                                       .bss_end_addr = fields.bss_end_addr}));
    const u64 entry = TRY(find_entry(kernel, fields.entry_addr));
    return KernelPlan{std::move(kernel), entry};
}

/// \returns its place.
Result<Gpa> write_info(const std::vector<PlacedModule>& modules, Gpa command_line, const GuestMemory& memory,
                       const MemoryMap& map, Occupancy& occupancy) {
    const Gpa at = TRY(occupancy.place(layout::kBootInfo, layout::kBootInfoBytes, "the boot information"));
    const Gpa strings_at =
        TRY(occupancy.place(layout::kBootStrings, layout::kBootStringsBytes, "the boot strings"));
    InfoWriter strings(memory, strings_at, layout::kBootStringsBytes);
    std::vector<Module> list;
    for (const PlacedModule& module : modules) {
        const Gpa text = TRY(strings.put_string(module.text));
        list.push_back({module.start, module.end, static_cast<u32>(text.value), 0});
    }
    const Gpa module_list = TRY(strings.put(std::as_bytes(std::span(list)), 4));

    // The structure, the map and the name share a page: the common case touches no other.
    InfoWriter rest(memory, at + sizeof(Info), layout::kBootInfoBytes - sizeof(Info));
    std::vector<MemoryMapEntry> ranges;
    for (const MemoryRange& range : map.ranges())
        ranges.push_back({20, range.base.value, range.size_bytes, static_cast<u32>(range.type)});
    const Gpa memory_map = TRY(rest.put(std::as_bytes(std::span(ranges)), 4));
    const Gpa loader_name = TRY(rest.put_string(kLoaderName));

    Info info{};
    info.flags = kInfoMemory | kInfoCommandLine | kInfoModules | kInfoMemoryMap | kInfoLoaderName;
    const BasicMemory basic = basic_memory(map);
    info.mem_lower = basic.lower_kib;
    info.mem_upper = basic.upper_kib;
    info.cmdline = static_cast<u32>(command_line.value);
    info.mods_count = static_cast<u32>(list.size());
    info.mods_addr = list.empty() ? 0 : static_cast<u32>(module_list.value);
    info.mmap_length = static_cast<u32>(ranges.size() * sizeof(MemoryMapEntry));
    info.mmap_addr = static_cast<u32>(memory_map.value);
    info.boot_loader_name = static_cast<u32>(loader_name.value);
    InfoWriter head(memory, at, sizeof(info));
    return head.put_object(info);
}

}  // namespace

Result<EntryState> load_multiboot1(const Image& kernel, const KernelHeaders& headers,
                                   const BootRequest& request, GuestRam& ram, const MemoryMap& map) {
    const KernelPlan plan =
        TRY(about(plan_kernel(kernel, headers.multiboot1.value(), headers.elf), kernel.name()));
    Occupancy occupancy(ram.memory());
    TRY_VOID(about(load_elf({kernel, plan.kernel}, 0, ram, occupancy), kernel.name()));
    const auto modules = TRY(place_multiboot_modules(request, ram, map, occupancy));
    const Gpa command_line =
        TRY(write_command_line(ram.memory(), occupancy, multiboot_command_line(request)));
    const Gpa info = TRY(write_info(modules, command_line, ram.memory(), map, occupancy));
    return about(multiboot_entry(ram.memory(), occupancy, plan.entry, kLoaderMagic, info), kernel.name());
}

}  // namespace mayfly
