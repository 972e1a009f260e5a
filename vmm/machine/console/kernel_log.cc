// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/kernel_log.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "vmm/machine/console/panic_line.h"

namespace mayfly {

namespace {

using Records = PrintkRecords;

constexpr int kAllLevels = 8;
/// So many of the newest records are read once mayfly has to end: more than distributions' kernels have room
/// for.
constexpr u64 kAtStop = 1 << 14;
/// hvc_console_print() prints a record in pieces of so many bytes.
constexpr std::size_t kPiece = 16;
/// "[    1.234567]"
constexpr std::size_t kTimeCharacters = 14;

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

/// "Oops: 0002 [#1] SMP", "invalid opcode: 0000 [#1]": the header of every fatal error of Linux.
bool has_die_header(std::string_view text) {
    constexpr std::size_t kCodeDigits = 4;
    const std::size_t count = text.find(" [#");
    if (count == std::string_view::npos || count < kCodeDigits + 2) return false;
    if (text.substr(count - kCodeDigits - 2, 2) != ": ") return false;
    return text.substr(count - kCodeDigits, kCodeDigits).find_first_not_of("0123456789abcdef") ==
           std::string_view::npos;
}

/// A kernel that oopses or panics shows all it has from then on (console_verbose(), which oops_begin() and
/// panic() call before these words). Nothing else does: the kernel uses its worst levels for errors that it
/// survives, too.
bool is_oops_or_panic(std::string_view text) {
    constexpr std::array kFirstWords{kPanicWords, std::string_view("BUG: unable to handle "),
                                     std::string_view("BUG: kernel NULL pointer dereference")};
    return has_die_header(text) ||
           std::ranges::any_of(kFirstWords, [&](std::string_view words) { return text.starts_with(words); });
}

/// Whether the console's bytes begin this record's printed form, also where the kernel prints no time, or the
/// caller after it.
bool begins_so(std::string_view line, std::string_view text, std::string_view bytes) {
    if (line.starts_with(bytes) || text.starts_with(bytes)) return true;
    return bytes.substr(0, kTimeCharacters) == line.substr(0, kTimeCharacters) &&
           bytes[kTimeCharacters] == '[';
}

}  // namespace

KernelLog::Range KernelLog::unprinted() const {
    const u64 to = records_.end_id();
    const u64 from = next_id_.load(std::memory_order_relaxed);
    if (Records::is_older(to, from)) return {from, from};  // a log does not go back
    const u64 count = records_.count_max();
    return {Records::distance(from, to) > count ? Records::before(to, count) : from, to};
}

bool KernelLog::has_more() const {
    return !has_handed_over() && records_.end_id() != next_id_.load(std::memory_order_relaxed);
}

std::optional<KernelLog::Place> KernelLog::find(std::string_view bytes) const {
    if (bytes.size() < kPiece) return std::nullopt;
    bytes = bytes.substr(0, kPiece);
    const Range range = unprinted();
    std::optional<Place> within;
    u64 room = printed_max();
    // The newest of those that look alike: better printed twice than lost.
    for (u64 id = range.to; id != range.from;) {
        if (Records::distance(id, range.to) >= kAtStop && stop_.is_abrupt()) break;
        id = Records::before(id, 1);
        const auto [found, record] = records_.read(id, false);
        if (found != Found::Record) continue;
        const std::string line = printed(record.time_ns, record.text);
        if (begins_so(line, record.text, bytes)) return Place{id, 0};
        // The console may have got its driver in the middle of a record, and printed the rest.
        for (std::size_t at = kPiece; !within && at < line.size(); at += kPiece)
            if (std::string_view(line).substr(at, kPiece) == bytes) within = Place{id, at};
        if (line.size() > room) break;
        room -= line.size();
    }
    return within;
}

void KernelLog::say(std::string_view text) {
    // SAFETY: characters are bytes.
    output_.put(std::span(reinterpret_cast<const u8*>(text.data()), text.size()));
}

u64 KernelLog::skip_to(u64 from, u64 id) {
    if (id != from) say(fmt::format("** {} printk messages dropped **\r\n", Records::distance(from, id)));
    return id;
}

u64 KernelLog::printed_max() const {
    constexpr u64 kPrefixBytes = 32;  // more than a time and the end of a line
    return records_.text_max() + kPrefixBytes * records_.count_max();
}

void KernelLog::say_until(u64 to, bool has_ended) {
    u64 id = skip_to(next_id_.load(std::memory_order_relaxed), unprinted().from);
    // The log's end when it was looked up; a guest may have moved the end since, in either direction.
    const u64 count = records_.count_max();
    if (Records::is_older(id, to) && Records::distance(id, to) > count)
        id = skip_to(id, Records::before(to, count));
    // Separate blocks hold no more text.
    u64 room = printed_max();
    for (; Records::is_older(id, to) && room > 0; id = Records::after(id, 1)) {
        // The newest records tell why the guest ended.
        if (Records::distance(id, to) > kAtStop && stop_.is_abrupt())
            id = skip_to(id, Records::before(to, kAtStop));
        const auto [found, record] = records_.read(id, has_ended);
        if (found == Found::Unfinished) break;
        if (found == Found::Nothing) continue;
        if (is_oops_or_panic(record.text)) level_ = kAllLevels;
        if (record.level >= level_) continue;
        const std::string line = printed(record.time_ns, record.text);
        say(std::string_view(line).substr(0, room));
        room -= std::min<u64>(room, line.size());
    }
    next_id_.store(room > 0 ? id : to, std::memory_order_relaxed);
}

void KernelLog::drain() {
    const Lock guard(mutex_);
    was_saved_ = false;
    if (has_handed_over()) return;
    say_until(seen_id_, false);
    seen_id_ = unprinted().to;
}

void KernelLog::hand_over_to(std::span<const u8> bytes) {
    if (has_handed_over()) return;
    const Lock guard(mutex_);
    if (has_handed_over()) return;
    // SAFETY: characters of the guest's.
    const std::optional<Place> place = find({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    say_until(place ? place->id : unprinted().to, false);
    if (place && place->offset != 0) {
        const auto [found, record] = records_.read(place->id, false);
        if (found == Found::Record)
            say(std::string_view(printed(record.time_ns, record.text)).substr(0, place->offset));
    }
    has_handed_over_.store(true, std::memory_order_release);
}

void KernelLog::finish() {
    const Lock guard(mutex_);
    if (!has_handed_over() && !was_saved_) say_until(unprinted().to, true);
}

KernelLogState KernelLog::save() {
    const Lock guard(mutex_);
    was_saved_ = true;
    return {.has_handed_over = has_handed_over(),
            .next_id = next_id_.load(std::memory_order_relaxed),
            .seen_id = seen_id_,
            .level = level_};
}

void KernelLog::restore(const KernelLogState& state) {
    const Lock guard(mutex_);
    level_ = state.level;
    next_id_.store(state.next_id, std::memory_order_relaxed);
    seen_id_ = state.seen_id;
    has_handed_over_.store(state.has_handed_over, std::memory_order_release);
}

}  // namespace mayfly
