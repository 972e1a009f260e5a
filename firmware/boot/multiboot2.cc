// SPDX-License-Identifier: Apache-2.0
// Loading, and the kernel's boot information. The header's tags are in multiboot2_header.cc.
#include "firmware/boot/multiboot2.h"

#include <algorithm>
#include <cstring>

#include "firmware/boot/info_writer.h"
#include "firmware/boot/multiboot.h"
#include "firmware/boot/multiboot2_spec.h"
#include "firmware/image/refuse.h"
#include "firmware/layout.h"

namespace mayfly {

namespace {

using namespace multiboot2;

struct KernelPlan {
    ElfKernel kernel;
    u64 entry = 0;
    std::optional<Multiboot2Wishes::Relocation> relocation;
};

/// Collects tags, each padded to 8 bytes, behind the fixed part.
class TagList {
  public:
    TagList() : bytes_(8) {}

    void add(u32 type, std::span<const std::byte> body) {
        const InfoTag tag{type, static_cast<u32>(sizeof(InfoTag) + body.size())};
        append(std::as_bytes(std::span(&tag, 1)));
        append(body);
        bytes_.resize(align_up(bytes_.size(), 8));
    }
    template <WireType T>
    void add_object(u32 type, const T& body) {
        add(type, std::as_bytes(std::span(&body, 1)));
    }
    /// With its NUL.
    void add_string(u32 type, const std::string& text) {
        add(type, std::as_bytes(std::span(text.c_str(), text.size() + 1)));
    }
    /// Multiboot2 Specification 2.0 §3.6.1 "Boot information format": total size and a reserved word come
    /// first.
    std::span<const std::byte> finish() {
        add(kInfoEnd, {});
        const u32 total = static_cast<u32>(bytes_.size());
        std::memcpy(bytes_.data(), &total, sizeof(total));
        return bytes_;
    }

  private:
    void append(std::span<const std::byte> more) { bytes_.insert(bytes_.end(), more.begin(), more.end()); }

    std::vector<std::byte> bytes_;
};

/// Multiboot2 Specification 2.0 §3.1.5 "The address tag of Multiboot2 header": wins over ELF headers;
/// load_addr -1 is the start of the file.
Result<ElfKernel> read_addresses(const Image& image, u64 header_offset, const Multiboot2Wishes& wishes) {
    const Multiboot2Wishes::Addresses& tag = *wishes.addresses;
    u32 load_addr = tag.load_addr;
    if (load_addr == ~u32{0}) {
        if (tag.header_addr < header_offset)
            return refuse("the Multiboot 2 header address {:#x} is below its offset {:#x} in the file",
                          tag.header_addr, header_offset);
        load_addr = tag.header_addr - static_cast<u32>(header_offset);
    }
    if (!wishes.entry_addr)
        return refuse("the Multiboot 2 header has an address tag, but no entry address tag");
    return read_address_fields(image, {.header_offset_bytes = header_offset,
                                       .header_addr = tag.header_addr,
                                       .load_addr = load_addr,
                                       .load_end_addr = tag.load_end_addr,
                                       .bss_end_addr = tag.bss_end_addr});
}

Result<KernelPlan> plan_kernel(const Image& image, const Multiboot2Header& header, const MaybeElf& elf) {
    const Multiboot2Wishes wishes = TRY(read_multiboot2_tags(header));
    KernelPlan plan;
    plan.relocation = wishes.relocation;
    if (wishes.addresses) {
        plan.kernel = TRY(read_addresses(image, header.offset_bytes, wishes));
    } else {
        if (!elf) return refuse("the Multiboot 2 header has no address tag, and this is not an ELF");
        plan.kernel = TRY(Result<ElfKernel>(*elf));
    }
    plan.entry = TRY(find_entry(plan.kernel, wishes.entry_addr ? *wishes.entry_addr : plan.kernel.entry));
    return plan;
}

struct Extent {
    Gpa base{~u64{0}};
    Gpa end{0};
};

Extent extent_of(const ElfKernel& kernel) {
    Extent extent;
    for (const ElfSegment& segment : kernel.segments) {
        extent.base = std::min(extent.base, segment.base);
        extent.end = std::max(extent.end, segment.base + segment.memory_bytes);
    }
    return extent;
}

/// How far to move a relocatable kernel: not at all where it was linked inside its named range, else to the
/// range's lowest place. The preference is only a suggestion and ignored. Multiboot2 Specification 2.0
/// §3.1.14 "Relocatable header tag".
Result<u64> find_shift(const KernelPlan& plan, const MemoryMap& map, const Occupancy& occupancy) {
    if (!plan.relocation) return u64{0};
    const Multiboot2Wishes::Relocation& range = *plan.relocation;
    const Extent extent = extent_of(plan.kernel);
    const bool is_sane = extent.end > extent.base;
    const bool fits = is_sane && extent.base.value >= range.min_addr &&
                      extent.end.value - 1 <= range.max_addr && extent.base.value % range.align == 0 &&
                      extent.base >= layout::kHighMemory && extent.end <= map.low_ram_end();
    if (fits) return u64{0};
    const u64 bytes = is_sane ? extent.end - extent.base : 0;
    const Gpa start = std::max(Gpa{range.min_addr}, layout::kHighMemory);
    const Gpa end = std::min(Gpa{u64{range.max_addr} + 1}, map.low_ram_end());
    const std::optional<Gpa> at = occupancy.find_above(start, end, bytes, range.align);
    if (!at)
        return refuse(
            "no room for this relocatable kernel of {:#x} bytes in guest RAM between {:#x} and {:#x}", bytes,
            range.min_addr, range.max_addr);
    return *at - extent.base;
}

/// Copies of the RSDP, of version 1 and 2 (ACPI 6.5 §5.2.5.3 "Root System Description Pointer (RSDP)
/// Structure").
void add_acpi(TagList& tags, const GuestMemory& memory, Gpa rsdp) {
    constexpr u64 kOldBytes = 20;
    constexpr u64 kNewBytes = 36;
    std::array<std::byte, kNewBytes> copy;
    if (rsdp.value == 0 || memory.read(rsdp, copy) != MemStatus::Ok) return;
    u32 rsdt = 0;
    std::memcpy(&rsdt, copy.data() + 16, sizeof(rsdt));
    // A kernel that knows only version 1 cannot use a table without RSDT.
    if (rsdt != 0) tags.add(kInfoAcpiOld, std::span(copy).first(kOldBytes));
    if (std::to_integer<u8>(copy[15]) >= 2) tags.add(kInfoAcpiNew, copy);
}

void add_memory_map(TagList& tags, const MemoryMap& map) {
    std::vector<std::byte> body(8);
    const u32 head[2]{sizeof(MemoryMapEntry), 0};
    std::memcpy(body.data(), head, sizeof(head));
    for (const MemoryRange& range : map.ranges()) {
        const MemoryMapEntry entry{range.base.value, range.size_bytes, static_cast<u32>(range.type), 0};
        const auto bytes = std::as_bytes(std::span(&entry, 1));
        body.insert(body.end(), bytes.begin(), bytes.end());
    }
    tags.add(kInfoMemoryMap, body);
}

void add_module(TagList& tags, const PlacedModule& module) {
    std::vector<std::byte> body(8 + module.text.size() + 1);
    std::memcpy(body.data(), &module.start, 4);
    std::memcpy(body.data() + 4, &module.end, 4);
    std::memcpy(body.data() + 8, module.text.c_str(), module.text.size() + 1);
    tags.add(kInfoModule, body);
}

}  // namespace

Result<EntryState> load_multiboot2(const Image& kernel, const KernelHeaders& headers,
                                   const BootRequest& request, GuestRam& ram, const MemoryMap& map) {
    const KernelPlan plan =
        TRY(about(plan_kernel(kernel, headers.multiboot2.value(), headers.elf), kernel.name()));
    const GuestMemory& memory = ram.memory();
    Occupancy occupancy(memory);
    const u64 shift = TRY(about(find_shift(plan, map, occupancy), kernel.name()));
    TRY_VOID(about(load_elf({kernel, plan.kernel}, shift, ram, occupancy), kernel.name()));
    const auto modules = TRY(place_multiboot_modules(request, ram, map, occupancy));

    TagList tags;
    tags.add_string(kInfoCommandLine, multiboot_command_line(request));
    tags.add_string(kInfoLoaderName, kLoaderName);
    for (const PlacedModule& module : modules) add_module(tags, module);
    tags.add_object(kInfoBasicMemory, basic_memory(map));
    add_memory_map(tags, map);
    add_acpi(tags, memory, request.rsdp);
    if (plan.relocation)
        tags.add_object(kInfoLoadBase, static_cast<u32>((extent_of(plan.kernel).base + shift).value));
    const auto info = tags.finish();
    if (info.size() > layout::kBootStringsBytes)
        return refuse(
            "the Multiboot 2 information has {} bytes, the limit is {}: shorten command line or modules",
            info.size(), layout::kBootStringsBytes);
    const Gpa at =
        TRY(occupancy.place(layout::kBootStrings, layout::kBootStringsBytes, "the boot information"));
    InfoWriter writer(memory, at, layout::kBootStringsBytes);
    TRY_VOID(writer.put(info, 8));
    return about(multiboot_entry(memory, occupancy, plan.entry + shift, kLoaderMagic, at), kernel.name());
}

}  // namespace mayfly
