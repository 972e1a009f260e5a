// SPDX-License-Identifier: Apache-2.0
// ModuleList: depmod's files about a kernel's modules, and the load order of the modules for given names.
//
// Text in, names out: it opens nothing. Unknown lines are skipped, as modprobe does.
// Specification: modules.dep(5), modprobe.d(5) "softdep", depmod(8).
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

/// The texts of modules.dep, modules.builtin, modules.softdep and modules.alias; all but the first may be
/// empty.
struct ModuleTexts {
    std::string dependencies;
    std::string builtin;
    std::string soft_dependencies;
    std::string aliases;
};

struct ModuleToLoad {
    std::string_view path;  ///< relative to the directory of modules.dep
    std::string_view name;  ///< "virtio_blk", as the file is called
    bool is_optional;       ///< only a soft dependency wants it
};

class ModuleList {
  public:
    /// `texts` outlives the list.
    explicit ModuleList(const ModuleTexts& texts);

    /// The modules that `wanted` names and their dependencies, each once, dependencies first; without
    /// built-in ones. '-' and '_' are the same. Errors: Invalid for a name that is neither a module nor built
    /// in, for a dependency without a line, and for a path that leaves the directory; Stopped.
    [[nodiscard]] Result<std::vector<ModuleToLoad>> resolve(const std::vector<std::string_view>& wanted,
                                                            StopToken stop = {}) const;

    /// Whether a loadable module of that name exists.
    [[nodiscard]] bool has(std::string_view name) const { return find_name(name).has_value(); }
    /// Neither a module nor built in: resolve() refuses it.
    [[nodiscard]] bool lacks(std::string_view name) const;

  private:
    struct Line {
        std::string_view path;
        std::string_view name;
        std::string_view needs;
    };
    class Resolution;

    [[nodiscard]] std::optional<std::size_t> find_path(std::string_view path) const;
    [[nodiscard]] std::optional<std::size_t> find_name(std::string_view name) const;
    [[nodiscard]] bool is_builtin(std::string_view name) const;

    const ModuleTexts& texts_;
    std::vector<Line> lines_;
};

}  // namespace mayfly
