// SPDX-License-Identifier: Apache-2.0
// Name files: /etc/resolv.conf and /etc/hosts, from the configuration of the guest's networks.
//
// Thread: init's only one. Spec: resolv.conf(5), hosts(5).
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::init {

/// A text that holds only whole lines.
class Lines {
  public:
    void add(const char* a, const char* b, const char* c = "");
    [[nodiscard]] const char* text() const { return text_; }
    [[nodiscard]] u32 size_bytes() const { return used_; }

  private:
    char text_[2048] = {};
    u32 used_ = 0;
};

/// Where they are written.
enum class NamePlace : u8 {
    Root,    ///< in it
    Beside,  ///< in memory, and mounted over the root's files, which must exist: the root is a directory of
             ///< the host
};

/// `lines` replace the root's file of that name, also a symbolic link. Reports errors.
void write_resolv_conf(const Lines& lines, NamePlace place);
/// `lines` are appended to the root's file of that name, or to the loopback's names where it is missing.
/// Reports errors.
void add_to_hosts(const Lines& lines, NamePlace place);
/// Writes to an existing file, such as those of /proc; silent.
void write_setting(const char* path, const char* value);

}  // namespace mayfly::init
