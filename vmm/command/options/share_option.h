// SPDX-License-Identifier: Apache-2.0
// The value of --share, and what several of them may not be together.
//
// A comma that belongs to a path is written twice, a colon of the guest's path \:. Thread: any.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// What --help says of the option, and after the colon what hints do.
constexpr char kShareHelp[] =
    "share a directory, live; repeatable: DIR[:MOUNT][,ro][,cache=auto|always|never][,owner=host|UID[:GID]]"
    "[,tag=NAME]; MOUNT with --exec only";

/// As kShareHelp has it; `owner` where it names none. Neither tag nor place is filled in. Errors: Invalid,
/// with the key, the value and the limit.
Result<ShareConfig> parse_share(std::string_view text, std::optional<ShareOwner> owner);

/// The owner of the files that a guest sees by default: a monitor that may give files to any user shows them
/// as they are; else all are root's, because what the guest makes is one user's.
[[nodiscard]] std::optional<ShareOwner> default_share_owner(u32 user);

/// Of all: gives each without a tag its device's name, and with `has_exec` each without a place its own on
/// this host. Errors: Invalid for a tag or a place that two have, for a place without our own init or that
/// would be the guest's root; Os where a directory does not exist.
Result<void> settle_shares(std::vector<ShareConfig>& shares, bool has_exec);

}  // namespace mayfly
