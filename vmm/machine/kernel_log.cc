// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/kernel_log.h"

#include <algorithm>

#include <fmt/format.h>

namespace mayfly {

namespace {

// kernel/printk/printk_ringbuffer.h: the upper two bits of a descriptor's first word are its state.
constexpr u64 kIdMask = ~u64{0} >> 2;
enum State : u64 { kReserved = 0, kCommitted = 1, kFinalized = 2, kReusable = 3 };
/// Positions of a record that has no text.
constexpr u64 kNoText = 3;

/// A kernel in distress shows all it has (console_verbose()): an alert, an emergency.
constexpr int kDistressLevel = 1;
constexpr int kAllLevels = 8;

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

/// As Linux does by default: each line with the record's time.
std::string printed(u64 time_ns, std::string_view text) {
    std::string out;
    const std::string prefix =
        fmt::format("[{:5}.{:06}] ", time_ns / 1'000'000'000, time_ns % 1'000'000'000 / 1000);
    for (bool goes_on = true; goes_on;) {
        const std::size_t end = text.find('\n');
        goes_on = end != std::string_view::npos;
        out += prefix;
        out += text.substr(0, end);
        out += "\r\n";
        if (goes_on) text.remove_prefix(end + 1);
    }
    return out;
}

}  // namespace

u64 KernelLog::head_id() const { return memory_->read_object<u64>(ring_.head_id).value_or(0) & kIdMask; }

bool KernelLog::has_more() const {
    return !has_given_way() && head_id() + 1 != next_id_.load(std::memory_order_relaxed);
}

bool KernelLog::read_text(u64 id, u64 begin, u64 next, std::string& text) const {
    const u64 size = u64{1} << ring_.text_bits;
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

KernelLog::Found KernelLog::read(u64 id, bool has_ended, Record& record) const {
    const u64 index = id & ((u64{1} << ring_.count_bits) - 1);
    const Gpa at = ring_.descriptors + index * PrintkRing::kDescriptorBytes;
    const auto descriptor = memory_->read_object<Descriptor>(at);
    const auto info = memory_->read_object<Info>(ring_.infos + index * PrintkRing::kInfoBytes);
    if (!descriptor || !info || (descriptor->state & kIdMask) != id) return Found::Nothing;
    const u64 state = descriptor->state >> 62;
    // A committed record may be continued yet.
    if (state == kReserved || (state == kCommitted && !has_ended))
        return has_ended ? Found::Nothing : Found::Unfinished;
    if (state == kReusable) return Found::Nothing;
    record.time_ns = info->time_ns;
    record.level = info->flags_and_level >> 5;
    record.text.assign(info->text_bytes, '\0');
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

void KernelLog::say(std::string_view until, bool has_ended) {
    const u64 count = u64{1} << ring_.count_bits;
    const u64 end = head_id() + 1;
    u64 id = next_id_.load(std::memory_order_relaxed);
    if (end - id > count) id = end - count;  // the oldest have been overwritten
    for (; id != end; ++id) {
        Record record{};
        const Found found = read(id, has_ended, record);
        if (found == Found::Unfinished) break;
        if (found == Found::Nothing) continue;
        if (record.level <= kDistressLevel) level_ = kAllLevels;
        if (record.level >= level_) continue;
        const std::string text = printed(record.time_ns, record.text);
        if (!until.empty() && text.starts_with(until)) break;
        output_.put(std::span(reinterpret_cast<const u8*>(text.data()), text.size()));
    }
    next_id_.store(id, std::memory_order_relaxed);
}

void KernelLog::drain() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!has_given_way()) say({}, false);
}

void KernelLog::give_way_to(std::span<const u8> bytes) {
    if (has_given_way()) return;
    const std::lock_guard<std::mutex> guard(mutex_);
    // SAFETY: characters of the guest's.
    if (!has_given_way()) say({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, false);
    has_given_way_.store(true, std::memory_order_release);
}

void KernelLog::finish() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!has_given_way()) say({}, true);
}

}  // namespace mayfly
