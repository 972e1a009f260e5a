// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/panic_line.h"

#include <algorithm>

#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr u64 kRecordsMax = 1 << 14;
constexpr std::size_t kLineMax = 200;

std::string first_line(std::string_view text) {
    std::string_view line = text.substr(0, std::min(text.find_first_of("\r\n"), kLineMax));
    // Its end is announced in the same words: "---[ end Kernel panic - not syncing: ... ]---".
    constexpr std::string_view kEnd = " ]---";
    if (line.ends_with(kEnd)) line.remove_suffix(kEnd.size());
    return shown(line);
}

}  // namespace

std::string panic_line(const PrintkRecords& records) {
    const u64 end = records.end_id();
    u64 count = PrintkRecords::distance(records.first_id(), end);
    count = std::min({count, records.count_max(), kRecordsMax});
    PrintkRecords::Record record{};
    for (u64 i = 1; i <= count; ++i) {
        if (records.read(PrintkRecords::before(end, i), true, record) == PrintkRecords::Found::Record &&
            record.text.starts_with(kPanicWords))
            return first_line(record.text);
    }
    return {};
}

std::string panic_line(std::string_view console) {
    const std::size_t at = console.rfind(kPanicWords);
    return at == std::string_view::npos ? std::string() : first_line(console.substr(at));
}

}  // namespace mayfly
