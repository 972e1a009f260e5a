// SPDX-License-Identifier: Apache-2.0
// FileIdentity: identifies a file, whatever name or descriptor leads to it. Symbolic and hard links and
// /dev/fd/N do not hide it; nor does a file that does not exist yet, which is a name in a directory.
// OutputFiles: the files to be written, for checks of files that no option names.
//
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"

struct stat;

namespace mayfly {

struct FileIdentity {
    u64 device = 0;
    u64 inode = 0;  ///< of a block device: 0, and `device` is the device itself
    std::string
        name{};  ///< of a file that does not exist: its name in the directory that the fields above identify
    /// A terminal, /dev/null: several writers do not overwrite each other.
    bool is_shareable = false;

    [[nodiscard]] static FileIdentity of(const struct stat& status);
    /// Nothing where the descriptor is closed.
    [[nodiscard]] static std::optional<FileIdentity> of_descriptor(int fd);
    /// Of a name as the user gives it, also one for a descriptor (descriptor_named()). Empty where the name
    /// cannot be a file: its directory is missing, for example.
    [[nodiscard]] static std::optional<FileIdentity> of_name(const std::string& name);

    friend bool operator==(const FileIdentity&, const FileIdentity&) = default;
};

class OutputFiles {
  public:
    void add(std::string option, std::string name, FileIdentity identity) {
        files_.push_back({std::move(option), std::move(name), std::move(identity)});
    }
    [[nodiscard]] bool empty() const { return files_.empty(); }

    /// Errors: Invalid where the file that messages call `label` is one of them.
    [[nodiscard]] Result<void> check(const struct stat& status, std::string_view label);
    /// Whether check() found the file of that option.
    [[nodiscard]] bool was_refused(std::string_view option) const;

  private:
    struct File {
        std::string option;
        std::string name;
        FileIdentity identity;
        bool is_refused = false;
    };
    std::vector<File> files_{};
};

/// Whether it is an ordinary file somewhere below a directory and on its file system, links followed.
[[nodiscard]] bool is_file_beneath(const std::string& name, const std::string& directory);

/// The descriptor that a name stands for: 1 for "-" and /dev/stdout, N for /dev/fd/N and /proc/self/fd/N.
[[nodiscard]] std::optional<int> descriptor_named(const std::string& name);

/// The end of a chain of symbolic links, whether or not it exists. `name` itself where opening it would open
/// something else: /proc/PID/fd/N.
[[nodiscard]] std::string behind_links(const std::string& name);

/// A path as its directory, "." if it has none, and the rest.
struct SplitPath {
    std::string directory;
    std::string name;  ///< empty where the path ends in a slash
};
[[nodiscard]] SplitPath split_path(const std::string& path);

}  // namespace mayfly
