// SPDX-License-Identifier: Apache-2.0
// walk_tree: every name below a directory, parents first, each directory's names sorted.
//
// However deep the tree, it takes two descriptors and no stack: it goes up by "..", and sees when a directory
// was moved meanwhile. It stays on the file system on which it starts. Thread: any.
#pragma once

#include <functional>
#include <string_view>

#include <sys/stat.h>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

struct TreeEntry {
    const UniqueFd& directory;  ///< the one that holds it
    const char* name;           ///< in that directory
    std::string_view path;      ///< from the start, without a slash before it
    const struct stat& status;  ///< of itself, not of a symbolic link's target
    bool is_elsewhere;          ///< a directory of another file system: its content is not visited
};

using VisitEntry = std::function<Result<void>(const TreeEntry&)>;

/// `label` names the start in messages. Errors: the visitor's; Os, by name, for directories that cannot be
/// read; Stopped.
Result<void> walk_tree(const UniqueFd& root, std::string_view label, StopToken stop, const VisitEntry& visit);

/// The error of a call that failed with errno, about a file that should be packed, with a hint.
[[nodiscard]] Unexpected unreadable(std::string_view operation, std::string_view label,
                                    std::string_view path);

}  // namespace mayfly
