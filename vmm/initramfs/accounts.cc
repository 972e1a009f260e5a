// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/accounts.h"

#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "vmm/initramfs/archive/archive.h"

namespace mayfly {

namespace {

std::optional<u32> number_of(std::string_view text) {
    u32 value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
    // setresuid(2) takes this number for "unchanged".
    return value != ~u32{0} ? std::optional(value) : std::nullopt;
}

/// Takes the first part off `text`.
std::string_view take_until(std::string_view& text, char separator) {
    const std::size_t at = text.find(separator);
    const std::string_view part = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
    return part;
}

template <std::size_t N>
std::array<std::string_view, N> fields_of(std::string_view line) {
    std::array<std::string_view, N> fields;
    for (std::string_view& field : fields) field = take_until(line, ':');
    return fields;
}

/// The first line whose first field is `key`, or else whose third is.
template <std::size_t N>
std::optional<std::array<std::string_view, N>> find_line(std::string_view text, std::string_view key) {
    for (const std::size_t field : {std::size_t{0}, std::size_t{2}}) {
        std::string_view rest = text;
        while (!rest.empty()) {
            const auto fields = fields_of<N>(take_until(rest, '\n'));
            if (fields[field] == key) return fields;
        }
    }
    return std::nullopt;
}

bool is_member(std::string_view members, std::string_view name) {
    while (!members.empty()) {
        if (take_until(members, ',') == name) return true;
    }
    return false;
}

std::vector<u32> groups_of(std::string_view name, std::string_view group) {
    std::vector<u32> groups;
    while (!group.empty()) {
        const auto [group_name, password, gid, members] = fields_of<4>(take_until(group, '\n'));
        const std::optional<u32> number = number_of(gid);
        if (number && is_member(members, name)) groups.push_back(*number);
    }
    return groups;
}

Error unknown(std::string_view option_text, std::string_view what, std::string_view name,
              std::string_view file) {
    return Error::invalid(fmt::format("--user {}: no {} {} in the root's {}", printable(option_text), what,
                                      printable(name), file))
        .hint("give its number, or a --root that knows it");
}

/// Rejects numbers that would wrap to root's.
Error no_number(std::string_view option_text, std::string_view name, std::string_view file) {
    return Error::invalid(fmt::format("--user {}: {} has no number that is one in the root's {}",
                                      printable(option_text), printable(name), file));
}

}  // namespace

Result<Account> find_account(std::string_view user, std::string_view passwd, std::string_view group) {
    std::string_view group_name = user;
    const std::string_view given = take_until(group_name, ':');
    const std::string_view user_name = given.empty() ? "0" : given;
    Account account;
    const auto line = find_line<6>(passwd, user_name);
    if (line) {
        const auto& [name, password, uid, gid, comment, home] = *line;
        const std::optional<u32> uid_number = number_of(uid);
        const std::optional<u32> gid_number = number_of(gid);
        if (!uid_number || !gid_number) return fail(no_number(user, user_name, "/etc/passwd"));
        account.uid = *uid_number;
        account.gid = *gid_number;
        if (!home.empty()) account.home = home;
        if (group_name.empty()) account.groups = groups_of(name, group);
    } else if (const std::optional<u32> number = number_of(user_name)) {
        account.uid = *number;
    } else {
        return fail(unknown(user, "user", user_name, "/etc/passwd"));
    }
    if (group_name.empty()) return account;
    if (const auto found = find_line<4>(group, group_name)) {
        const std::optional<u32> gid_number = number_of((*found)[2]);
        if (!gid_number) return fail(no_number(user, group_name, "/etc/group"));
        account.gid = *gid_number;
    } else if (const std::optional<u32> number = number_of(group_name)) {
        account.gid = *number;
    } else {
        return fail(unknown(user, "group", group_name, "/etc/group"));
    }
    return account;
}

}  // namespace mayfly
