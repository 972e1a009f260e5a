// SPDX-License-Identifier: Apache-2.0
// Name files: /etc/resolv.conf and /etc/hosts, of what becomes known of the guest's networks.
//
// Thread: init's only one. Spec: resolv.conf(5), hosts(5).
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::init {

/// A text of lines that are whole or not there.
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
    Beside,  ///< in memory, and mounted over the root's, which have to be there: it is a directory of the
             ///< host
};

/// `lines` replace what the root has under that name, also a symbolic link. Says what it cannot do.
void write_resolv_conf(const Lines& lines, NamePlace place);
/// `lines` follow what the root has under that name, or the names of the loopback where it has nothing. Says
/// what it cannot do.
void add_to_hosts(const Lines& lines, NamePlace place);
/// In a file that is there already, as those of /proc are; silent.
void write_setting(const char* path, const char* value);

}  // namespace mayfly::init
