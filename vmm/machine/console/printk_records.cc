// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/printk_records.h"

#include <algorithm>

namespace mayfly {

namespace {

enum State : u64 { kReserved = 0, kCommitted = 1, kFinalized = 2, kReusable = 3 };
/// Positions of a record without text.
constexpr u64 kNoText = 3;
/// Linux's own records are at most half as long.
constexpr u64 kRecordMax = 2048;

struct Descriptor {
    u64 state;
    u64 begin;
    u64 next;
};
static_assert(sizeof(Descriptor) == PrintkRing::kDescriptorBytes);

struct Info {
    u64 sequence;
    u64 time_ns;
    u16 text_bytes;
    u8 facility;
    u8 flags_and_level;  // the level in the upper three bits
    u32 caller;
};

}  // namespace

u64 PrintkRecords::end_id() const {
    return after(memory_->read_object<u64>(ring_.head_id).value_or(0) & kIdMask, 1);
}

std::optional<std::string> PrintkRecords::read_text(u64 id, u64 begin, u64 next, u64 bytes_max) const {
    const u64 size = text_max();
    const u64 from = begin % size;
    u64 at = from;
    u64 bytes = 0;
    if (begin >> ring_.text_bits == next >> ring_.text_bits && begin < next) {
        bytes = next - begin;
    } else if ((begin + size) >> ring_.text_bits == next >> ring_.text_bits) {
        at = 0;  // a block that would have gone over the end is at the beginning
        bytes = next % size;
        if (bytes == 0) {
            at = from;
            bytes = size - from;
        }
    }
    u64 owner = 0;
    if (bytes <= sizeof owner || bytes > size - at) return std::nullopt;
    if (memory_->read(ring_.text + at, std::as_writable_bytes(std::span(&owner, 1))) != MemStatus::Ok)
        return std::nullopt;
    if (owner != id) return std::nullopt;
    std::string text(std::min(bytes_max, bytes - sizeof owner), '\0');
    if (memory_->read(ring_.text + at + sizeof owner, std::as_writable_bytes(std::span(text))) !=
        MemStatus::Ok)
        return std::nullopt;
    return text;
}

PrintkRecords::Reading PrintkRecords::read(u64 id, bool has_ended) const {
    const u64 index = id & (count_max() - 1);
    const Gpa at = ring_.descriptors + index * PrintkRing::kDescriptorBytes;
    const auto descriptor = memory_->read_object<Descriptor>(at);
    const auto info = memory_->read_object<Info>(ring_.infos + index * PrintkRing::kInfoBytes);
    if (!descriptor || !info) return {};
    const u64 owner = descriptor->state & kIdMask;
    // Between taking an id and a descriptor a writer leaves the previous id in the descriptor.
    if (owner != id) return {is_older(owner, id) && !has_ended ? Found::Unfinished : Found::Nothing};
    const u64 state = descriptor->state >> 62;
    // A committed record may still be continued.
    if (state == kReserved || (state == kCommitted && !has_ended))
        return {has_ended ? Found::Nothing : Found::Unfinished};
    if (state == kReusable) return {};
    const bool has_text = (descriptor->begin & 1) == 0 || (descriptor->next & 1) == 0;
    if (!has_text && descriptor->begin != kNoText) return {};
    std::optional<std::string> text = std::string();
    if (has_text)
        text =
            read_text(id, descriptor->begin, descriptor->next, std::min(u64{info->text_bytes}, kRecordMax));
    // Still the same record, so its text was read.
    const auto now = memory_->read_object<u64>(at);
    if (!text || now != descriptor->state) return {};
    return {Found::Record, {info->time_ns, info->flags_and_level >> 5, std::move(*text)}};
}

}  // namespace mayfly
