// SPDX-License-Identifier: Apache-2.0
// Readers of the kernel's text files, as pure functions over their text.
// Spec: Linux Documentation/filesystems/proc.rst.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

/// The value of the first line "KEY<white space>: value". Empty without such a line.
[[nodiscard]] std::string_view proc_field(std::string_view text, std::string_view key);

/// `words` is separated by white space, or by commas.
[[nodiscard]] bool has_word(std::string_view words, std::string_view word);

/// Mounts of cgroups in a mountinfo file.
struct CgroupMounts {
    bool has_cgroup2_root = false;  ///< cgroup2 at /sys/fs/cgroup
    bool has_favordynmods = false;
};
[[nodiscard]] CgroupMounts parse_cgroup_mounts(std::string_view mountinfo);

struct GroupLine {
    std::string_view name;
    std::string_view members;  ///< separated by commas
};
/// The line of an /etc/group file with this number.
[[nodiscard]] std::optional<GroupLine> find_group(std::string_view file, u32 id);

/// Name of the user with this number in an /etc/passwd file. Empty when the file lacks the user.
[[nodiscard]] std::string_view find_user(std::string_view file, u32 id);

/// 'R', 'S' and so on of a process's or thread's stat file; 0 for another text.
[[nodiscard]] char thread_state(std::string_view stat);

/// Major and minor of "6.18.44-generic" as 6018. 0 for another text.
[[nodiscard]] u32 release_number(std::string_view release);

}  // namespace mayfly
