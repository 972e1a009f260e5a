// SPDX-License-Identifier: Apache-2.0
#include "vmm/doctor/facts/parse.h"

#include <array>
#include <charconv>

namespace mayfly {

namespace {

constexpr std::string_view kBlank = " \t";

/// Takes the text before `separator` off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
    const std::size_t end = rest.find(separator);
    const std::string_view piece = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return piece;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// The first fields of a line with ':' between them.
template <std::size_t kCount>
std::array<std::string_view, kCount> colon_fields(std::string_view line) {
    std::array<std::string_view, kCount> fields;
    for (std::string_view& field : fields) field = take_until(line, ':');
    return fields;
}

std::optional<u32> to_number(std::string_view text) {
    u32 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

}  // namespace

std::string_view proc_field(std::string_view text, std::string_view key) {
    while (!text.empty()) {
        std::string_view line = take_until(text, '\n');
        const std::string_view name = take_until(line, ':');
        if (trimmed(name) == key) return trimmed(line);
    }
    return {};
}

bool has_word(std::string_view words, std::string_view word) {
    constexpr std::string_view kSeparators = " \t\n,";
    while (!words.empty()) {
        const std::size_t end = words.find_first_of(kSeparators);
        if (words.substr(0, end) == word) return true;
        if (end == std::string_view::npos) return false;
        words.remove_prefix(end + 1);
    }
    return false;
}

CgroupMounts parse_cgroup_mounts(std::string_view mountinfo) {
    CgroupMounts found;
    while (!mountinfo.empty()) {
        // "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,favordynmods"
        const std::string_view line = take_until(mountinfo, '\n');
        const std::size_t dash = line.find(" - ");
        if (dash == std::string_view::npos) continue;
        std::string_view head = line.substr(0, dash);
        for (int skipped = 0; skipped < 4; ++skipped) take_until(head, ' ');
        const std::string_view mount_point = take_until(head, ' ');
        std::string_view tail = line.substr(dash + 3);
        const std::string_view type = take_until(tail, ' ');
        if (type != "cgroup" && type != "cgroup2") continue;
        take_until(tail, ' ');
        if (type == "cgroup2" && mount_point == "/sys/fs/cgroup") found.has_cgroup2_root = true;
        if (has_word(tail, "favordynmods")) found.has_favordynmods = true;
    }
    return found;
}

std::optional<GroupLine> find_group(std::string_view file, u32 id) {
    while (!file.empty()) {
        const auto [name, password, number, members] = colon_fields<4>(take_until(file, '\n'));
        if (to_number(number) == id) return GroupLine{name, members};
    }
    return std::nullopt;
}

std::string_view find_user(std::string_view file, u32 id) {
    while (!file.empty()) {
        const auto [name, password, number] = colon_fields<3>(take_until(file, '\n'));
        if (to_number(number) == id) return name;
    }
    return {};
}

char thread_state(std::string_view stat) {
    // The name before it is in parentheses, and may contain parentheses.
    const std::size_t end = stat.rfind(") ");
    return end == std::string_view::npos || end + 2 >= stat.size() ? '\0' : stat[end + 2];
}

u32 release_number(std::string_view release) {
    const std::optional<u32> major = to_number(take_until(release, '.'));
    const std::size_t digits = release.find_first_not_of("0123456789");
    const std::optional<u32> minor = to_number(release.substr(0, digits));
    if (!major || !minor || *major > 1000 || *minor > 999) return 0;
    return *major * 1000 + *minor;
}

}  // namespace mayfly
