// SPDX-License-Identifier: Apache-2.0
// A reader of newc archives that shares nothing with the writer: it restates the format and fails the test
// where an archive breaks it.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/os/unique_fd.h"

namespace mayfly::test {

struct NewcEntry {
    std::string name;
    u32 inode;
    u32 mode;
    u32 uid;
    u32 gid;
    u32 links;
    u32 mtime;
    u32 rdev_major;
    u32 rdev_minor;
    std::string content;
};

/// All of a file, from its beginning.
std::string read_all(const UniqueFd& file);

/// The entries before the trailer, which has to be the last.
std::vector<NewcEntry> read_newc(const std::string& archive);

/// The only entry of that name; fails the test unless exactly one exists.
const NewcEntry& entry(const std::vector<NewcEntry>& entries, const std::string& name);
bool has_entry(const std::vector<NewcEntry>& entries, const std::string& name);

}  // namespace mayfly::test
