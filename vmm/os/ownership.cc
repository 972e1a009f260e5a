// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/ownership.h"

#include <sys/auxv.h>

#include <fmt/format.h>

#include "vmm/error/ints.h"

namespace mayfly {

std::string why_not_ours(const struct stat& status) {
    // The kernel's word at exec, which takes no call; we never change who we are.
    if (const u64 user = ::getauxval(AT_EUID); status.st_uid != user)
        return fmt::format("belongs to user {}, not {}", status.st_uid, user);
    if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return fmt::format("others may write to it: its mode is {:o}", status.st_mode & 07777);
    return {};
}

}  // namespace mayfly
