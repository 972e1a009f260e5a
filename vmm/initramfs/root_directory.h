// SPDX-License-Identifier: Apache-2.0
// RootDirectory: a directory of the host that becomes the guest's root. Paths are resolved as in the guest:
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
    /// Content on other file systems: Missing for the guest; or Seen, because it shares the directory.
    enum class Mounts : u8 { Missing, Seen };
    /// Errors: Os, Invalid for anything but a directory.
    static Result<RootDirectory> open(const std::string& path, Mounts mounts = Mounts::Missing);

    /// Opens a path inside for reading; devices and pipes do not block. Invalid descriptor and errno where it
    /// cannot be opened; EXDEV for a path on another file system, if its mounts are Missing.
    [[nodiscard]] UniqueFd open_inside(const std::string& path) const;

    /// The same for a directory that is not a root: a path that leads out of it, such as an absolute symbolic
    /// link, is EXDEV. `path` is relative.
    [[nodiscard]] UniqueFd open_beneath(const std::string& path) const;

    [[nodiscard]] const UniqueFd& fd() const { return fd_; }
    /// The name in messages: as the user wrote it.
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
