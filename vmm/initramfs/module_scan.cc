// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/module_scan.h"

#include <algorithm>

#include "firmware/image/refuse.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/archive/tree_walk.h"
#include "vmm/initramfs/module_name.h"

namespace mayfly {

namespace {

constexpr std::string_view kEndings[] = {".ko", ".ko.gz", ".ko.xz", ".ko.zst"};

bool is_module(std::string_view path) {
    // A list cannot contain these characters, and no module's name does.
    if (path.find_first_of(" \t\n:#") != std::string_view::npos) return false;
    return std::any_of(std::begin(kEndings), std::end(kEndings),
                       [&](std::string_view ending) { return path.ends_with(ending); });
}

/// One scan: the wanted modules, then their dependencies, each read once.
class Scan {
  public:
    explicit Scan(const ModuleScan& scan)
        : scan_(scan), paths_(scan.paths), needs_(paths_.size()), states_(paths_.size()) {}

    void want(std::string_view name) {
        const std::size_t found = find(name);
        if (found == paths_.size() || states_[found]) return;
        states_[found] = true;
        queue_.push_back(found);
    }

    Result<void> run() {
        while (!queue_.empty()) {
            TRY_VOID(scan_.stop.check());
            const std::size_t module = queue_.back();
            queue_.pop_back();
            const ModuleInfo info = TRY(scan_.read(paths_[module]));
            for (const std::string& name : info.needs) {
                const std::size_t needed = find(name);
                // Built-in modules are not among them.
                if (needed == paths_.size())
                    return refuse("{}: {} needs the module {}, which is missing", scan_.label, paths_[module],
                                  printable(name));
                want(name);
                needs_[module] += " " + paths_[needed];
            }
            for (const std::string& soft : info.soft_needs) {
                lists_.soft_dependencies +=
                    "softdep " + std::string(module_name(paths_[module])) + " " + soft + "\n";
                want_words(soft);
            }
        }
        return {};
    }

    ScannedLists take() {
        for (std::size_t i = 0; i < paths_.size(); ++i)
            lists_.dependencies += paths_[i] + ":" + needs_[i] + "\n";
        return std::move(lists_);
    }

  private:
    [[nodiscard]] std::size_t find(std::string_view name) const {
        const auto found = std::find_if(paths_.begin(), paths_.end(), [&](const std::string& path) {
            return is_same_module(module_name(path), name);
        });
        return static_cast<std::size_t>(found - paths_.begin());
    }

    /// "pre:" and "post:" are not names.
    void want_words(std::string_view words) {
        while (!words.empty()) {
            const std::string_view word = words.substr(0, words.find(' '));
            words.remove_prefix(std::min(word.size() + 1, words.size()));
            want(word);
        }
    }

    const ModuleScan& scan_;
    const std::vector<std::string>& paths_;
    std::vector<std::string> needs_;
    std::vector<bool> states_;  ///< was wanted once
    std::vector<std::size_t> queue_{};
    ScannedLists lists_{};
};

}  // namespace

Result<std::vector<std::string>> module_paths(const UniqueFd& directory, std::string_view label,
                                              StopToken stop) {
    std::vector<std::string> paths;
    TRY_VOID(walk_tree(directory, label, stop, [&](const TreeEntry& entry) -> Result<void> {
        const bool is_file = S_ISREG(entry.status.st_mode) || S_ISLNK(entry.status.st_mode);
        if (is_file && is_module(entry.path)) paths.emplace_back(entry.path);
        return {};
    }));
    return paths;
}

Result<ScannedLists> scan_modules(const ModuleScan& scan) {
    Scan one(scan);
    for (const std::string_view name : scan.wanted) one.want(name);
    TRY_VOID(one.run());
    return one.take();
}

}  // namespace mayfly
