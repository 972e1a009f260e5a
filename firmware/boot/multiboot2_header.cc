// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/multiboot2_header.h"

#include <algorithm>
#include <cstring>

#include "firmware/boot/multiboot2_spec.h"
#include "firmware/image/refuse.h"

namespace mayfly {

namespace {

using namespace multiboot2;

template <typename T>
T object_at(std::span<const std::byte> bytes, u64 offset_bytes) {
    T value;
    std::memcpy(&value, bytes.data() + offset_bytes, sizeof(value));
    return value;
}

/// Known information that is not available is left out, without an error. Multiboot2 Specification 2.0 §3.1.4
/// "Information request header tag": requested tags need not be present.
Result<void> check_request(std::span<const std::byte> body) {
    for (u64 at = 0; body.size() - at >= sizeof(u32); at += sizeof(u32)) {
        const u32 type = object_at<u32>(body, at);
        if (type > kInfoLoadBase)
            return refuse("this Multiboot 2 kernel requires information {}, which mayfly does not know",
                          type);
    }
    return {};
}

template <typename T>
Result<T> read_body(std::span<const std::byte> body, u16 type) {
    if (body.size() < sizeof(T))
        return refuse("Multiboot 2 header tag {} has {} bytes, fewer than {}", type,
                      body.size() + sizeof(HeaderTag), sizeof(T) + sizeof(HeaderTag));
    return object_at<T>(body, 0);
}

Result<void> take_relocation(std::span<const std::byte> body, Multiboot2Wishes& wishes) {
    const auto tag = TRY(read_body<RelocatableTag>(body, kHeaderRelocatable));
    if (tag.align == 0 || (tag.align & (tag.align - 1)) != 0)
        return refuse("the Multiboot 2 relocation alignment {:#x} is not a power of two", tag.align);
    if (tag.min_addr > tag.max_addr)
        return refuse("the Multiboot 2 relocation range {:#x}-{:#x} is empty", tag.min_addr, tag.max_addr);
    wishes.relocation = Multiboot2Wishes::Relocation{tag.min_addr, tag.max_addr, tag.align, tag.preference};
    return {};
}

Result<void> take_tag(const HeaderTag& tag, std::span<const std::byte> body, Multiboot2Wishes& wishes) {
    const bool is_required = (tag.flags & kTagOptional) == 0;
    switch (tag.type) {
        case kHeaderInformationRequest: return is_required ? check_request(body) : Result<void>{};
        case kHeaderAddress: {
            const auto fields = TRY(read_body<AddressTag>(body, tag.type));
            wishes.addresses = Multiboot2Wishes::Addresses{fields.header_addr, fields.load_addr,
                                                           fields.load_end_addr, fields.bss_end_addr};
            return {};
        }
        case kHeaderEntryAddress: wishes.entry_addr = TRY(read_body<u32>(body, tag.type)); return {};
        case kHeaderConsoleFlags: {
            const u32 flags = TRY(read_body<u32>(body, tag.type));
            if (is_required && (flags & kConsoleRequired) != 0)
                return refuse("this Multiboot 2 kernel requires a console (tag 4), and mayfly has no screen");
            return {};
        }
        case kHeaderFramebuffer:
            if (is_required)
                return refuse(
                    "this Multiboot 2 kernel requires a framebuffer (tag 5), and mayfly has no screen");
            return {};
        case kHeaderRelocatable: return take_relocation(body, wishes);
        // Modules are always at page boundaries; the EFI tags have no meaning on a machine without EFI.
        case kHeaderModuleAlign:
        case kHeaderEfiBootServices:
        case kHeaderEntryEfiI386:
        case kHeaderEntryEfiAmd64: return {};
        default:
            if (is_required)
                return refuse("this Multiboot 2 kernel requires header tag {}, which mayfly does not know",
                              tag.type);
            return {};
    }
}

}  // namespace

std::optional<Multiboot2Header> find_multiboot2(std::span<const std::byte> start) {
    const u64 end = std::min<u64>(start.size(), kSearchBytes);
    for (u64 at = 0; at + sizeof(Header) <= end; at += kHeaderAlignment) {
        const auto header = object_at<Header>(start, at);
        if (header.magic != kHeaderMagic || header.architecture != kArchitectureI386) continue;
        const u32 sum = header.magic + header.architecture + header.header_length + header.checksum;
        if (sum != 0) continue;
        const u64 bytes = std::clamp<u64>(header.header_length, sizeof(Header), end - at);
        const auto there = start.subspan(at, bytes);
        return Multiboot2Header{
            .offset_bytes = at, .searched_bytes = end, .bytes = {there.begin(), there.end()}};
    }
    return std::nullopt;
}

Result<Multiboot2Wishes> read_multiboot2_tags(const Multiboot2Header& found) {
    const auto header = object_at<Header>(found.bytes, 0);
    if (header.header_length < sizeof(Header) || header.header_length > found.bytes.size())
        return refuse("truncated: the Multiboot 2 header has {} bytes at byte {}, beyond the first {}",
                      header.header_length, found.offset_bytes, found.searched_bytes);
    const std::span<const std::byte> tags = found.bytes;
    Multiboot2Wishes wishes;
    u64 at = sizeof(Header);
    while (tags.size() - at >= sizeof(HeaderTag)) {
        const auto tag = object_at<HeaderTag>(tags, at);
        if (tag.type == kHeaderEnd) return wishes;
        if (tag.size < sizeof(HeaderTag) || tag.size > tags.size() - at)
            return refuse("Multiboot 2 header tag {} at byte {} has {} bytes, the header has {}", tag.type,
                          at, tag.size, tags.size());
        TRY_VOID(take_tag(tag, tags.subspan(at + sizeof(HeaderTag), tag.size - sizeof(HeaderTag)), wishes));
        at = std::min<u64>(align_up(at + tag.size, 8), tags.size());
    }
    return refuse("the Multiboot 2 header of {} bytes has no end tag", tags.size());
}

}  // namespace mayfly
