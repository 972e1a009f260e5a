// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/share_option.h"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <fmt/format.h>

#include "vmm/command/options/option_words.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kTagBytesMax = 36;  // virtio 1.2 §5.11.4 "Device configuration layout"
constexpr u64 kIdMax = 0xffff'fffe;       // the one above means "nobody" to the kernel
constexpr const char* kPlaceHint = "DIR:/MOUNT; read-only is ,ro; a colon in MOUNT is \\:";

Error refusal(std::string_view what, std::string_view why) {
    return Error::invalid(fmt::format("--share {}: {}", what, why));
}

/// Where the guest's path begins, behind its colon; npos without a colon.
std::size_t find_place(std::string_view text) {
    std::size_t colon = text.rfind(":/");
    while (colon != std::string_view::npos && colon != 0 && text[colon - 1] == '\\')
        colon = text.rfind(":/", colon - 1);
    return colon;
}

/// "/a/b" of "//a/./b/"; "/" for the root. Errors: Invalid where it climbs.
Result<std::string> plain_place(std::string_view what, std::string_view path) {
    std::string plain;
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        const std::string_view name = path.substr(0, slash);
        path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
        if (name == "..") return fail(refusal(what, "a place in the guest has no '..'").hint(kPlaceHint));
        if (!name.empty() && name != ".") plain += "/" + std::string(name);
    }
    return plain.empty() ? "/" : plain;
}

Result<void> read_place(const std::string& text, ShareConfig& share) {
    const std::size_t colon = find_place(text);
    share.options.directory = text.substr(0, colon);
    if (share.options.directory.empty())
        return fail(Error::invalid(fmt::format("--share '{}' names no directory", text)).hint(kPlaceHint));
    if (colon == std::string::npos) return {};
    const std::string place = text.substr(colon + 1);
    for (std::size_t at = place.find(':'); at != std::string::npos; at = place.find(':', at + 1))
        if (place[at - 1] != '\\')
            return fail(refusal(text, fmt::format("{} has a colon", place)).hint(kPlaceHint));
    share.mount_point = TRY(plain_place(text, without_backslashes(place)));
    if (share.mount_point == "/")
        return fail(refusal(text, "the guest has a root already")
                        .hint(fmt::format("--root {},live makes it the root", share.options.directory)));
    return {};
}

Result<ShareCache> read_cache(const std::string& value) {
    if (value == "auto") return ShareCache::Auto;
    if (value == "always") return ShareCache::Always;
    if (value == "never") return ShareCache::Never;
    return fail(Error::invalid(fmt::format("--share cache={} is not known", value))
                    .hint("one of: auto, always, never"));
}

Result<std::optional<ShareOwner>> read_owner(const std::string& value) {
    if (value == "host") return std::optional<ShareOwner>();
    const auto read = [&](std::string_view digits) -> Result<u32> {
        const Result<u64> id = parse_number(digits, kIdMax);
        if (!id)
            return fail(Error::invalid(fmt::format("--share owner={}: '{}' is not a number from 0 to {}",
                                                   value, digits, kIdMax))
                            .hint("owner=host: as they are here; owner=UID[:GID]: one owner of all"));
        return static_cast<u32>(*id);
    };
    const std::size_t colon = value.find(':');
    ShareOwner owner;
    owner.uid = TRY(read(std::string_view(value).substr(0, colon)));
    owner.gid = owner.uid;
    if (colon != std::string::npos) owner.gid = TRY(read(std::string_view(value).substr(colon + 1)));
    return std::optional(owner);
}

Result<std::string> read_tag(const std::string& value) {
    const auto is_plain = [](char c) { return c > ' ' && c < '\x7f'; };
    if (value.empty() || value.size() > kTagBytesMax || !std::ranges::all_of(value, is_plain))
        return fail(
            Error::invalid(fmt::format("--share tag={}: a tag has 1 to {} printable ASCII "
                                       "characters, and no blanks",
                                       value, kTagBytesMax)));
    return value;
}

Result<void> read_share_key(const KeyValue& word, ShareConfig& share) {
    if (word.key == "ro" && !word.has_value)
        share.options.is_read_only = true;
    else if (word.key == "cache" && word.has_value)
        share.options.cache = TRY(read_cache(word.value));
    else if (word.key == "owner" && word.has_value)
        share.options.owner = TRY(read_owner(word.value));
    else if (word.key == "tag" && word.has_value)
        share.tag = TRY(read_tag(word.value));
    else
        return fail(unknown_key("--share", word, kShareHelp));
    return {};
}

/// The path that leads to `directory` from this host's root, without links.
Result<std::string> own_place(const std::string& directory) {
    const std::unique_ptr<char, decltype(&std::free)> path(::realpath(directory.c_str(), nullptr),
                                                           &std::free);
    if (path == nullptr) {
        Error error = Error::os("open").about(directory).about("--share");
        // "DIR:ro", or a place that is not absolute.
        if (directory.find(':') == std::string::npos) return fail(std::move(error));
        return fail(std::move(error).hint(kPlaceHint));
    }
    std::string place = path.get();
    if (place == "/")
        return fail(
            refusal(directory, "the guest has a root of its own").hint("--share /:/MOUNT, or --root /,live"));
    return place;
}

}  // namespace

std::optional<ShareOwner> default_share_owner(u32 user) {
    return user == 0 ? std::nullopt : std::optional(ShareOwner{});
}

Result<ShareConfig> parse_share(std::string_view text, std::optional<ShareOwner> owner) {
    const std::vector<std::string> words = split_words(text);
    ShareConfig share;
    share.options.owner = owner;
    TRY_VOID(read_place(words[0], share));
    for (std::size_t i = 1; i < words.size(); ++i) TRY_VOID(read_share_key(split_key(words[i]), share));
    return share;
}

Result<void> settle_shares(std::vector<ShareConfig>& shares, bool has_exec) {
    for (std::size_t i = 0; i < shares.size(); ++i) {
        ShareConfig& share = shares[i];
        const std::string& directory = share.options.directory;
        if (share.tag.empty()) share.tag = fmt::format("share{}", i);
        if (!has_exec && !share.mount_point.empty())
            return fail(refusal(directory, fmt::format("{} is for --exec's init, which mounts it there",
                                                       share.mount_point))
                            .hint(fmt::format("without --exec the guest mounts it by its tag: mount -t "
                                              "virtiofs {} {}",
                                              share.tag, share.mount_point)));
        if (has_exec && share.mount_point.empty()) share.mount_point = TRY(own_place(directory));
        for (std::size_t before = 0; before < i; ++before) {
            if (shares[before].tag == share.tag)
                return fail(refusal(directory, fmt::format("{} has the tag {} already",
                                                           shares[before].options.directory, share.tag))
                                .hint("tag=NAME"));
            if (has_exec && shares[before].mount_point == share.mount_point)
                return fail(
                    refusal(directory, fmt::format("{} is mounted at {} already",
                                                   shares[before].options.directory, share.mount_point))
                        .hint(kPlaceHint));
        }
    }
    return {};
}

}  // namespace mayfly
