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

constexpr int kAllLevels = 8;
/// Linux's own records are half as long at most.
constexpr std::size_t kRecordMax = 2048;
/// hvc_console_print() prints a record in pieces of so many bytes.
constexpr std::size_t kPiece = 16;
/// "[    1.234567]"
constexpr std::size_t kTimeCharacters = 14;

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

/// A kernel in distress shows all it has from then on (console_verbose()).
bool is_distress(int level, std::string_view text) {
    constexpr int kAlert = 1;
    return level <= kAlert || text.find("Oops: ") != std::string_view::npos ||
           text.starts_with("general protection fault");
}

/// Whether the console's bytes are the beginning of this record's, also where the kernel prints no time, or
/// who called behind it.
bool begins_so(std::string_view line, std::string_view text, std::string_view bytes) {
    if (line.starts_with(bytes) || text.starts_with(bytes)) return true;
    return bytes.substr(0, kTimeCharacters) == line.substr(0, kTimeCharacters) &&
           bytes[kTimeCharacters] == '[';
}

/// Ids have 62 bits and go round.
bool is_older(u64 id, u64 other) { return static_cast<i64>((id - other) << 2) < 0; }

}  // namespace

u64 KernelLog::end_id() const {
    return ((memory_->read_object<u64>(ring_.head_id).value_or(0) & kIdMask) + 1) & kIdMask;
}

KernelLog::Range KernelLog::unsaid() const {
    const u64 count = u64{1} << ring_.count_bits;
    const u64 to = end_id();
    const u64 from = next_id_.load(std::memory_order_relaxed);
    if (is_older(to, from)) return {from, from};  // a log does not go back
    return {((to - from) & kIdMask) > count ? (to - count) & kIdMask : from, to};
}

bool KernelLog::has_more() const {
    return !has_given_way() && end_id() != next_id_.load(std::memory_order_relaxed);
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

std::optional<KernelLog::Place> KernelLog::find(std::string_view bytes) const {
    if (bytes.size() < kPiece) return std::nullopt;
    bytes = bytes.substr(0, kPiece);
    const Range range = unsaid();
    std::optional<Place> within;
    // The newest of those that look alike: what is said twice is not lost.
    for (u64 id = range.to; id != range.from;) {
        id = (id - 1) & kIdMask;
        Record record{};
        if (read(id, false, record) != Found::Record) continue;
        const std::string line = printed(record.time_ns, record.text);
        if (begins_so(line, record.text, bytes)) return Place{id, 0};
        // The console may have got its driver in the middle of a record that it then printed the rest of.
        for (std::size_t at = kPiece; !within && at < line.size(); at += kPiece)
            if (std::string_view(line).substr(at, kPiece) == bytes) within = Place{id, at};
    }
    return within;
}

void KernelLog::say(std::string_view text) {
    // SAFETY: characters are bytes.
    output_.put(std::span(reinterpret_cast<const u8*>(text.data()), text.size()));
}

void KernelLog::say_until(u64 to, bool has_ended) {
    const u64 next = next_id_.load(std::memory_order_relaxed);
    u64 id = unsaid().from;
    // Where the log ended when that was looked up; a guest may have moved its end since, either way.
    const u64 count = u64{1} << ring_.count_bits;
    if (is_older(id, to) && ((to - id) & kIdMask) > count) id = (to - count) & kIdMask;
    if (id != next) say(fmt::format("** {} printk messages dropped **\r\n", (id - next) & kIdMask));
    // Blocks that lie apart have no more.
    u64 room = u64{1} << ring_.text_bits;
    for (; is_older(id, to); id = (id + 1) & kIdMask) {
        Record record{};
        const Found found = read(id, has_ended, record);
        if (found == Found::Unfinished) break;
        if (found == Found::Nothing) continue;
        if (record.text.size() > room) continue;
        room -= record.text.size();
        if (is_distress(record.level, record.text)) level_ = kAllLevels;
        if (record.level < level_) say(printed(record.time_ns, record.text));
    }
    next_id_.store(id, std::memory_order_relaxed);
}

void KernelLog::drain() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (has_given_way()) return;
    say_until(seen_id_, false);
    seen_id_ = unsaid().to;
}

void KernelLog::give_way_to(std::span<const u8> bytes) {
    if (has_given_way()) return;
    const std::lock_guard<std::mutex> guard(mutex_);
    if (has_given_way()) return;
    // SAFETY: characters of the guest's.
    const std::optional<Place> place = find({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    say_until(place ? place->id : unsaid().to, false);
    Record record{};
    if (place && place->offset != 0 && read(place->id, false, record) == Found::Record)
        say(std::string_view(printed(record.time_ns, record.text)).substr(0, place->offset));
    has_given_way_.store(true, std::memory_order_release);
}

void KernelLog::finish() {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (!has_given_way()) say_until(unsaid().to, true);
}

}  // namespace mayfly
