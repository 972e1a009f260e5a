// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/printk_ring.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace mayfly {

namespace {

constexpr u64 kDataMax = MiB(32);
constexpr u64 kChunk = KiB(64);

/// The beginning of struct printk_ringbuffer, in words of 8 bytes.
enum Word : std::size_t {
    CountBits,
    Descriptors,
    Infos,
    HeadId,
    TailId,
    LastFinalized,
    TextBits,
    Text,
    HeadPosition,
    TailPosition,
    Words
};
using Ring = std::array<u64, Words>;

constexpr u64 kRingBytes = Words * sizeof(u64);

/// Before the first record positions and ids are minus the size, so that they overflow soon.
bool is_fresh_ring(const Ring& ring) {
    constexpr u64 kCountBitsMin = 5;
    constexpr u64 kCountBitsMax = 20;
    constexpr u64 kTextBitsMax = 25;
    // The upper halves of both sizes are padding.
    const u64 count_bits = ring[CountBits] & 0xffff'ffff;
    const u64 text_bits = ring[TextBits] & 0xffff'ffff;
    if (count_bits < kCountBitsMin || count_bits > kCountBitsMax) return false;
    if (text_bits < count_bits || text_bits > kTextBitsMax) return false;
    const u64 position = u64{0} - (u64{1} << text_bits);
    const u64 id = (u64{0} - ((u64{1} << count_bits) + 1)) & 0xffff'ffff;
    return ring[HeadPosition] == position && ring[TailPosition] == position && ring[HeadId] == id &&
           ring[TailId] == id;
}

/// The place in guest memory of `bytes` at a virtual address of the image.
std::optional<Gpa> loaded_at(const ElfKernel& kernel, u64 address, u64 bytes) {
    for (const ElfSegment& segment : kernel.segments) {
        const u64 offset = address - segment.virtual_base;
        if (address >= segment.virtual_base && offset < segment.memory_bytes &&
            bytes <= segment.memory_bytes - offset)
            return segment.base + offset;
    }
    return std::nullopt;
}

std::optional<PrintkRing> parse_ring(const Ring& ring, u64 address, const ElfKernel& kernel) {
    PrintkRing found;
    found.count_bits = static_cast<u32>(ring[CountBits]);
    found.text_bits = static_cast<u32>(ring[TextBits]);
    found.first_id = ring[HeadId] + 1;
    const u64 count = u64{1} << found.count_bits;
    // Their distance tells the size of elements, which versions may change.
    if (ring[Descriptors] - ring[Infos] != count * PrintkRing::kInfoBytes) return std::nullopt;
    const auto head_id = loaded_at(kernel, address + HeadId * sizeof(u64), sizeof(u64));
    const auto descriptors = loaded_at(kernel, ring[Descriptors], count * PrintkRing::kDescriptorBytes);
    const auto infos = loaded_at(kernel, ring[Infos], count * PrintkRing::kInfoBytes);
    const auto text = loaded_at(kernel, ring[Text], u64{1} << found.text_bits);
    if (!head_id || !descriptors || !infos || !text) return std::nullopt;
    found.head_id = *head_id;
    found.descriptors = *descriptors;
    found.infos = *infos;
    found.text = *text;
    return found;
}

}  // namespace

std::optional<PrintkRing> find_printk_ring(const ElfImage& vmlinux) {
    const Image& image = vmlinux.image;
    const std::optional<ElfSections>& sections = vmlinux.kernel.sections;
    const Elf64_Shdr* data = sections ? sections->find(".data") : nullptr;
    if (data == nullptr || data->sh_offset >= image.size_bytes()) return std::nullopt;
    const u64 size = std::min({data->sh_size, kDataMax, image.size_bytes() - data->sh_offset});
    // Chunks overlap by a ring.
    std::vector<std::byte> chunk(kChunk + kRingBytes);
    for (u64 begin = 0; begin + kRingBytes <= size; begin += kChunk) {
        const auto piece = std::span(chunk).first(std::min(chunk.size(), size - begin));
        if (!image.read(data->sh_offset + begin, piece)) return std::nullopt;
        for (u64 at = 0; at + kRingBytes <= piece.size(); at += sizeof(u64)) {
            u64 head_id = 0;
            std::memcpy(&head_id, &piece[at + HeadId * sizeof(u64)], sizeof head_id);
            if (head_id >> 20 != 0xfff) continue;  // ids begin shortly before 1 << 32
            Ring ring;
            std::memcpy(ring.data(), &piece[at], kRingBytes);
            if (is_fresh_ring(ring)) return parse_ring(ring, data->sh_addr + begin + at, vmlinux.kernel);
        }
    }
    return std::nullopt;
}

}  // namespace mayfly
