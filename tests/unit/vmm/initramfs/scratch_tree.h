// SPDX-License-Identifier: Apache-2.0
// A directory for one test, which fills it; and small ELF files that Linux would execute.
#pragma once

#include <string>

#include "vmm/error/ints.h"
#include "vmm/initramfs/initramfs.h"

namespace mayfly::test {

class ScratchTree {
  public:
    ScratchTree();
    ~ScratchTree();
    ScratchTree(const ScratchTree&) = delete;
    ScratchTree& operator=(const ScratchTree&) = delete;

    /// Makes the directories above it too.
    void file(const std::string& name, const std::string& content = "", unsigned mode = 0644) const;
    void directory(const std::string& name, unsigned mode = 0755) const;
    void symlink(const std::string& target, const std::string& name) const;
    void hard_link(const std::string& existing, const std::string& name) const;
    /// A file of zeros that takes no room on the disk.
    void sparse(const std::string& name, u64 size_bytes) const;

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::string path(const std::string& name) const { return path_ + "/" + name; }

  private:
    std::string path_;
};

/// An ELF64 program for `machine` (62: x86-64) whose PT_INTERP names `interpreter`, without one for "".
std::string elf_program(const std::string& interpreter = "", u16 machine = 62, u16 type = 2);

/// With room for 64 MiB, for a static program at /bin/true of the root when there is one.
InitramfsRequest request_for(const std::string& program, const std::string& root = "");

/// The error's message; fails the test on success.
std::string refusal(const InitramfsRequest& request);

}  // namespace mayfly::test
