// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/panic_line.h"

#include <algorithm>

#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr u64 kRecordsMax = 1 << 14;
constexpr std::size_t kLineMax = 200;

std::string first_line(std::string_view text) {
    std::string_view line = text.substr(0, std::min(text.find_first_of("\r\n"), kLineMax));
    // The end of a panic is announced in the same words: "---[ end Kernel panic - not syncing: ... ]---".
    constexpr std::string_view kEnd = " ]---";
    if (line.ends_with(kEnd)) line.remove_suffix(kEnd.size());
    return shown(line);
}

/// The kernel's prefixes of its messages: times and callers, "[    1.234567][    T1] ", and at a panic's end
/// "---[ end ". With any other prefix a program only mentions a panic.
std::string_view without_prefixes(std::string_view line) {
    constexpr std::string_view kEnds = "---[ end ";
    while (line.starts_with('[') && line.find(']') != std::string_view::npos) {
        line.remove_prefix(line.find(']') + 1);
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    }
    if (line.starts_with(kEnds)) line.remove_prefix(kEnds.size());
    return line;
}

}  // namespace

std::string panic_line(const PrintkRecords& records) {
    const u64 end = records.end_id();
    u64 count = PrintkRecords::distance(records.first_id(), end);
    count = std::min({count, records.count_max(), kRecordsMax});
    for (u64 i = 1; i <= count; ++i) {
        const auto [found, record] = records.read(PrintkRecords::before(end, i), true);
        if (found == PrintkRecords::Found::Record && record.text.starts_with(kPanicWords))
            return first_line(record.text);
    }
    return {};
}

std::string panic_line(std::string_view console) {
    std::string_view found;
    while (!console.empty()) {
        const std::string_view line = without_prefixes(console.substr(0, console.find('\n')));
        if (line.starts_with(kPanicWords)) found = line;
        console.remove_prefix(std::min(console.find('\n'), console.size() - 1) + 1);
    }
    return found.empty() ? std::string() : first_line(found);
}

}  // namespace mayfly
