// SPDX-License-Identifier: Apache-2.0
// Accounts: the user and groups of a guest's program, by the names in the guest's root.
//
// As in container engines: a user that is not in passwd may be a number, and is then in group 0; a user with
// an explicit group is in no other group. Thread: any. Spec: man 5 passwd, man 5 group.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"

namespace mayfly {

struct Account {
    u32 uid = 0;
    u32 gid = 0;
    std::vector<u32> groups{};  ///< supplementary
    std::string home = "/";
};

/// `user` is USER[:GROUP], empty for 0; the others are the text of /etc/passwd and /etc/group. Errors:
/// Invalid, for a name that is missing there.
Result<Account> find_account(std::string_view user, std::string_view passwd, std::string_view group);

}  // namespace mayfly
