// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/boot_reports.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace mayfly {

namespace {

constexpr std::size_t kMarksMax = 32;
constexpr std::size_t kPlacesMax = 24;

/// The text after `"key":`, or empty.
std::string_view after_key(std::string_view text, std::string_view key) {
    const std::string quoted = fmt::format("\"{}\":", key);
    const std::size_t at = text.find(quoted);
    if (at == std::string_view::npos) return {};
    text.remove_prefix(at + quoted.size());
    const std::size_t blank = text.find_first_not_of(" \n");
    return blank == std::string_view::npos ? std::string_view() : text.substr(blank);
}

std::optional<u64> number_after(std::string_view text, std::string_view key) {
    const std::string_view rest = after_key(text, key);
    u64 value = 0;
    if (std::from_chars(rest.data(), rest.data() + rest.size(), value).ec != std::errc()) return std::nullopt;
    return value;
}

/// The text between the brackets `open` and `close`, which our strings never contain.
std::string_view inside(std::string_view text, char open, char close) {
    if (text.empty() || text.front() != open) return {};
    return text.substr(1, text.find(close) == std::string_view::npos ? 0 : text.find(close) - 1);
}

/// Every `"name": number` of a flat object.
std::vector<NamedCount> members(std::string_view object) {
    std::vector<NamedCount> list;
    for (;;) {
        const std::size_t open = object.find('"');
        const std::size_t close = open == std::string_view::npos ? open : object.find('"', open + 1);
        if (close == std::string_view::npos) return list;
        const std::string_view name = object.substr(open + 1, close - open - 1);
        const std::optional<u64> value = number_after(object.substr(open), name);
        if (value) list.push_back({std::string(name), *value});
        object.remove_prefix(close + 1);
    }
}

/// The next flat object of an array, taken off its front; empty at the end.
std::string_view take_object(std::string_view& array) {
    const std::size_t open = array.find('{');
    if (open == std::string_view::npos) return {};
    array.remove_prefix(open);
    const std::string_view object = inside(array, '{', '}');
    array.remove_prefix(std::min(array.size(), object.size() + 2));
    return object;
}

std::string mark_name(const std::vector<NamedCount>& before, u64 value) {
    const std::string name = fmt::format("guest mark {:#x}", value);
    const auto is_same = [&](const NamedCount& mark) {
        return mark.name == name || mark.name.starts_with(name + " (");
    };
    const auto times = std::count_if(before.begin(), before.end(), is_same);
    return times == 0 ? name : fmt::format("{} ({})", name, times + 1);
}

}  // namespace

std::optional<BootTimeline> read_timeline(std::string_view json) {
    const std::optional<u64> exec_ns = number_after(json, "exec_monotonic_ns");
    if (!exec_ns) return std::nullopt;
    BootTimeline timeline;
    timeline.exec_monotonic_ns = *exec_ns;
    timeline.phases = members(inside(after_key(json, "phases"), '{', '}'));
    std::string_view marks = inside(after_key(json, "guest_marks"), '[', ']');
    for (std::string_view mark = take_object(marks); !mark.empty(); mark = take_object(marks)) {
        const std::optional<u64> value = number_after(mark, "value");
        const std::optional<u64> at_ns = number_after(mark, "at");
        if (!value || !at_ns) continue;
        if (timeline.marks.size() == kMarksMax) {
            timeline.has_dropped_marks = true;
            break;
        }
        timeline.marks.push_back({mark_name(timeline.marks, *value), *at_ns});
    }
    return timeline;
}

std::optional<BootStats> read_stats(std::string_view json) {
    const std::optional<u64> returns = number_after(json, "returns_to_user_space");
    if (!returns) return std::nullopt;
    BootStats stats;
    stats.returns = *returns;
    stats.reasons = members(inside(after_key(json, "by_reason"), '{', '}'));
    std::string_view places = inside(after_key(json, "by_address"), '[', ']');
    for (std::string_view place = take_object(places); !place.empty() && stats.places.size() < kPlacesMax;
         place = take_object(places)) {
        const std::string_view text = after_key(place, "space");
        const std::size_t end = text.find('"', 1);
        if (end == std::string_view::npos) continue;
        const std::string_view name = text.substr(1, end - 1);
        stats.places.push_back({fmt::format("{} {:#x}", name, number_after(place, "address").value_or(0)),
                                number_after(place, "returns").value_or(0)});
    }
    return stats;
}

}  // namespace mayfly
