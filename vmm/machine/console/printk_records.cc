// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/printk_records.h"

#include <algorithm>

namespace mayfly {

namespace {

enum State : u64 { kReserved = 0, kCommitted = 1, kFinalized = 2, kReusable = 3 };
/// Positions of a record that has no text.
constexpr u64 kNoText = 3;
/// Linux's own records are half as long at most.
constexpr std::size_t kRecordMax = 2048;

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

bool PrintkRecords::read_text(u64 id, u64 begin, u64 next, std::string& text) const {
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
    if (bytes <= sizeof owner || bytes > size - at) return false;
    if (memory_->read(ring_.text + at, std::as_writable_bytes(std::span(&owner, 1))) != MemStatus::Ok)
        return false;
    if (owner != id) return false;
    text.resize(std::min<u64>(text.size(), bytes - sizeof owner));
    return memory_->read(ring_.text + at + sizeof owner, std::as_writable_bytes(std::span(text))) ==
           MemStatus::Ok;
}

PrintkRecords::Found PrintkRecords::read(u64 id, bool has_ended, Record& record) const {
    const u64 index = id & (count_max() - 1);
    const Gpa at = ring_.descriptors + index * PrintkRing::kDescriptorBytes;
    const auto descriptor = memory_->read_object<Descriptor>(at);
    const auto info = memory_->read_object<Info>(ring_.infos + index * PrintkRing::kInfoBytes);
    if (!descriptor || !info) return Found::Nothing;
    const u64 owner = descriptor->state & kIdMask;
    // Between taking an id and a descriptor a writer leaves the one before in that.
    if (owner != id) return is_older(owner, id) && !has_ended ? Found::Unfinished : Found::Nothing;
    const u64 state = descriptor->state >> 62;
    // A committed record may be continued yet.
    if (state == kReserved || (state == kCommitted && !has_ended))
        return has_ended ? Found::Nothing : Found::Unfinished;
    if (state == kReusable) return Found::Nothing;
    record.time_ns = info->time_ns;
    record.level = info->flags_and_level >> 5;
    record.text.assign(std::min<std::size_t>(info->text_bytes, kRecordMax), '\0');
    const bool has_text = (descriptor->begin & 1) == 0 || (descriptor->next & 1) == 0;
    if (!has_text) {
        if (descriptor->begin != kNoText) return Found::Nothing;
        record.text.clear();
    } else if (!read_text(id, descriptor->begin, descriptor->next, record.text)) {
        return Found::Nothing;
    }
    // Still the same record, so what was read is its own.
    const auto now = memory_->read_object<u64>(at);
    return now == descriptor->state ? Found::Record : Found::Nothing;
}

}  // namespace mayfly
