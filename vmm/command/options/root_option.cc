// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/root_option.h"

#include <algorithm>

#include <unistd.h>

#include <fmt/format.h>

#include "firmware/init/job.h"
#include "vmm/command/options/option_words.h"
#include "vmm/command/options/share_option.h"

namespace mayfly {

namespace {

constexpr std::string_view kForm = "the guest's root: DIR[,live[,rw]]";

}  // namespace

Result<RootChoice> parse_root(std::string_view text) {
    const std::vector<std::string> words = split_words(text);
    RootChoice root{.directory = words[0]};
    bool is_live = false;
    bool is_written = false;
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i] != "live" && words[i] != "rw")
            return fail(unknown_key("--root", split_key(words[i]), kForm));
        (words[i] == "live" ? is_live : is_written) = true;
    }
    if (root.directory.empty() && !text.empty())
        return fail(Error::invalid(fmt::format("--root {}: names no directory", text))
                        .hint("--root DIR[,live[,rw]]"));
    if (is_written && !is_live)
        return fail(Error::invalid(
                        fmt::format("--root {}: ,rw is for a live root; of any other the guest has a copy, "
                                    "which it may write",
                                    text))
                        .hint("--root DIR,live,rw, or leave ,rw out"));
    if (is_live) root.kind = is_written ? RootKind::Writable : RootKind::Overlay;
    return root;
}

Result<void> add_live_root(BootConfig& config) {
    if (!config.exec || config.exec->root_kind == RootKind::Packed) return {};
    const ExecConfig& exec = *config.exec;
    const bool is_written = exec.root_kind == RootKind::Writable;
    if (is_written && !exec.copies_in.empty())
        return fail(
            Error::invalid(fmt::format("--copy-in {}:{}: would change {}, which is the guest's root itself",
                                       exec.copies_in.front().host, exec.copies_in.front().guest, exec.root))
                .hint("without ,rw copies lie over it, in the guest's memory"));
    if (std::ranges::any_of(config.shares, [](const ShareConfig& share) { return share.tag == kRootTag; }))
        return fail(
            Error::invalid(fmt::format("--share tag={}: is the tag of --root {}", kRootTag, exec.root))
                .hint("give the share another"));
    ShareConfig root;
    root.options.directory = exec.root;
    root.options.is_read_only = !is_written;
    root.options.announces_mounts = is_written;
    root.options.owner = default_share_owner(::geteuid());
    root.tag = kRootTag;
    root.mount_point = "/";
    config.shares.push_back(std::move(root));
    return {};
}

}  // namespace mayfly
