// SPDX-License-Identifier: Apache-2.0
// RootDirectory: a directory of the host that becomes the guest's root. Paths are resolved as the guest will:
// symbolic links and ".." never lead out of it.
//
// Thread: any.
#pragma once

#include <string>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class RootDirectory {
  public:
    /// What other file systems have in it: Missing, for the guest; or Seen, for it shares the directory.
    enum class Mounts : u8 { Missing, Seen };
    /// Errors: Os, Invalid for what is no directory.
    static Result<RootDirectory> open(const std::string& path, Mounts mounts = Mounts::Missing);

    /// Opens a path inside for reading; devices and pipes do not block. Invalid descriptor and errno where it
    /// cannot be opened; EXDEV for what is on another file system, if its mounts are Missing.
    [[nodiscard]] UniqueFd open_inside(const std::string& path) const;

    /// The same for a directory that is nobody's root: what leads out of it, as absolute symbolic links do,
    /// is EXDEV. `path` is relative.
    [[nodiscard]] UniqueFd open_beneath(const std::string& path) const;

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    /// How messages call it: as the user did.
    [[nodiscard]] const std::string& label() const { return label_; }

  private:
    [[nodiscard]] UniqueFd open_resolved(const std::string& path, u64 resolve) const;
    RootDirectory(UniqueFd fd, std::string label, Mounts mounts)
        : fd_(std::move(fd)), label_(std::move(label)), mounts_(mounts) {}

    UniqueFd fd_;
    std::string label_;
    Mounts mounts_;
};

}  // namespace mayfly
