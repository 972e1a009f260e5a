// SPDX-License-Identifier: Apache-2.0
// Share: the state that every request to a shared directory uses. Thread: the server's.
#pragma once

#include <array>
#include <charconv>

#include "vmm/share/files/node_table.h"
#include "vmm/share/files/open_files.h"
#include "vmm/share/files/requester.h"
#include "vmm/share/operations/attributes.h"
#include "vmm/share/protocol/fuse_reply.h"
#include "vmm/share/protocol/fuse_request.h"

namespace mayfly {

/// A descriptor's name in Share::descriptors.
class DescriptorName {
  public:
    explicit DescriptorName(int fd) { std::to_chars(text_.data(), text_.data() + text_.size() - 1, fd); }
    [[nodiscard]] const char* c_str() const { return text_.data(); }

  private:
    std::array<char, 12> text_{};
};

struct Share {
    ShareOptions options;
    NodeTable nodes;
    OpenFiles files;
    AttributeView view;
    /// /proc/thread-self/fd of the thread that serves: O_PATH descriptors are reopened by their name in
    /// there.
    UniqueFd descriptors;
    bool is_root = false;              ///< and files keep their host owners
    bool are_errors_late = false;      ///< the file system reports some errors only at close(2)
    bool announces_submounts = false;  ///< the guest makes mounts of the host's mounts in the directory
    bool has_long_setxattr = false;    ///< of Linux 5.13 and later
    mode_t mask = 0;                   ///< this thread's

    /// Opens a node, only a file or a directory, for reading or writing.
    /// \returns a descriptor, or -errno.
    [[nodiscard]] int reopen(Node& node, int flags);
    /// Looks a name up for the guest; its attributes, as a reply's entry. \returns 0 or -errno.
    [[nodiscard]] i32 put_entry(Node& parent, const char* name, FuseReply& reply);
    [[nodiscard]] fuse_entry_out entry_of(const Node& node, const host::Attributes& attributes) const;
    /// Acts as the guest's user while an entry is made.
    [[nodiscard]] Requester requester(const FuseRequest& request) const {
        return Requester(is_root, request.header().uid, request.header().gid);
    }
    void set_mask(u32 mask);
};

}  // namespace mayfly
