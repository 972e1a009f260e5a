// SPDX-License-Identifier: Apache-2.0
// A directory of modules without depmod's files: lists its modules, and writes depmod's lines for the wanted
// ones.
//
// Only wanted modules and their dependencies are read: unpacking all of a kernel's would take seconds. So a
// soft dependency by an alias is not found, which is not an error. Specification: modules.dep(5), depmod(8).
// Thread: any.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/initramfs/modinfo.h"
#include "vmm/os/unique_fd.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// The files below `directory` that are called as modules are, sorted; their paths are relative to it.
/// Errors: walk_tree()'s.
Result<std::vector<std::string>> module_paths(const UniqueFd& directory, std::string_view label,
                                              StopToken stop);

struct ScannedLists {
    std::string dependencies;       ///< as modules.dep, with every one of the paths
    std::string soft_dependencies;  ///< as modules.softdep
};
using ReadModule = std::function<Result<ModuleInfo>(std::string_view path)>;
struct ModuleScan {
    const std::vector<std::string>& paths;
    std::string_view label;  ///< their directory's name in messages
    const std::vector<std::string_view>& wanted;
    ReadModule read;
    StopToken stop;
};
/// Errors: those of `read`; Invalid for a module that needs a missing one; Stopped.
Result<ScannedLists> scan_modules(const ModuleScan& scan);

}  // namespace mayfly
