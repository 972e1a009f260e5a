// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/multiboot.h"

#include <algorithm>

#include "firmware/boot/cpu_tables.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"

namespace mayfly {

Result<ElfKernel> read_address_fields(const Image& image, const AddressFields& fields) {
    if (fields.load_addr > fields.header_addr)
        return refuse("the Multiboot header's load address {:#x} is above its header address {:#x}",
                      fields.load_addr, fields.header_addr);
    const u64 before_bytes = fields.header_addr - fields.load_addr;
    if (before_bytes > fields.header_offset_bytes)
        return refuse(
            "the Multiboot header is {:#x} bytes above the load address, but only {:#x} into the file",
            before_bytes, fields.header_offset_bytes);
    const u64 file_offset = fields.header_offset_bytes - before_bytes;
    const u64 available_bytes = image.size_bytes() - file_offset;
    if (fields.load_end_addr != 0 && fields.load_end_addr <= fields.load_addr)
        return refuse("the Multiboot header's load end {:#x} is not above its load address {:#x}",
                      fields.load_end_addr, fields.load_addr);
    const u64 load_bytes =
        fields.load_end_addr != 0 ? fields.load_end_addr - fields.load_addr : available_bytes;
    if (load_bytes > available_bytes)
        return refuse("truncated: the Multiboot header loads {:#x} bytes from byte {:#x}, the file has {:#x}",
                      load_bytes, file_offset, image.size_bytes());
    const u64 load_end = fields.load_addr + load_bytes;
    if (fields.bss_end_addr != 0 && fields.bss_end_addr < load_end)
        return refuse("the Multiboot header's bss end {:#x} is below its load end {:#x}", fields.bss_end_addr,
                      load_end);
    const u64 memory_end = std::max<u64>(load_end, fields.bss_end_addr);
    ElfKernel kernel;
    kernel.segments.push_back({.index = 0,
                               .file_offset_bytes = file_offset,
                               .file_bytes = load_bytes,
                               .virtual_base = fields.load_addr,
                               .base = Gpa{fields.load_addr},
                               .memory_bytes = memory_end - fields.load_addr});
    return kernel;
}

namespace {

Result<PlacedModule> place_module(const Image& image, std::string text, GuestRam& ram, const MemoryMap& map,
                                  Occupancy& occupancy) {
    const Gpa start = occupancy.claimed_end(layout::kHole);
    const std::optional<Gpa> at = occupancy.find_above(start, map.low_ram_end(), image.size_bytes(), 4096);
    if (!at)
        return refuse("{}: no room for its {} bytes in guest RAM between {:#x} and {:#x}", image.name(),
                      image.size_bytes(), start.value, map.low_ram_end().value);
    TRY_VOID(occupancy.claim(*at, image.size_bytes(), image.name()));
    TRY_VOID(about(image.place(ram, *at, 0, image.size_bytes()), image.name()));
    const u64 end = at->value + image.size_bytes();
    return PlacedModule{static_cast<u32>(at->value), static_cast<u32>(end), std::move(text)};
}

}  // namespace

Result<std::vector<PlacedModule>> place_multiboot_modules(const BootRequest& request, GuestRam& ram,
                                                          const MemoryMap& map, Occupancy& occupancy) {
    std::vector<PlacedModule> placed;
    if (request.initrd != nullptr)
        placed.push_back(TRY(place_module(*request.initrd, request.initrd->name(), ram, map, occupancy)));
    for (const BootModule& module : request.modules) {
        std::string text = module.image->name();
        if (!module.arguments.empty()) text += " " + module.arguments;
        placed.push_back(TRY(place_module(*module.image, std::move(text), ram, map, occupancy)));
    }
    return placed;
}

std::string multiboot_command_line(const BootRequest& request) {
    const std::string name = request.kernel_name.empty() ? "kernel" : request.kernel_name;
    return request.command_line.empty() ? name : name + " " + request.command_line;
}

BasicMemory basic_memory(const MemoryMap& map) {
    return {static_cast<u32>(layout::kEbda.value / KiB(1)),
            static_cast<u32>((map.low_ram_end() - layout::kHighMemory) / KiB(1))};
}

Result<EntryState> multiboot_entry(const GuestMemory& memory, Occupancy& occupancy, u64 entry, u32 magic,
                                   Gpa info) {
    if (entry > ~u32{0})
        return refuse("the entry point {:#x} is above 4 GiB, out of reach in 32-bit mode", entry);
    EntryState state = TRY(prepare_cpu(memory, occupancy, CpuMode::Protected32));
    state.rip = entry;
    state.rax = magic;
    state.rbx = info.value;
    return state;
}

}  // namespace mayfly
