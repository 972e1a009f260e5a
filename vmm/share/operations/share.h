// SPDX-License-Identifier: Apache-2.0
// Share: what every request to a shared directory works with. Thread: the one that serves it.
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
    /// /proc/thread-self/fd of the thread that serves: by a name in there, what O_PATH found is opened.
    UniqueFd descriptors;
    bool is_root = false;              ///< and files are the host's users'
    bool are_errors_late = false;      ///< the file system tells of some at close(2) only
    bool announces_submounts = false;  ///< the guest mounts what is mounted there
    bool has_long_setxattr = false;    ///< of Linux 5.13 and later
    mode_t mask = 0;                   ///< this thread's

    /// Opens what a node is, a file or a directory and nothing else, for reading or writing.
    /// \returns a descriptor, or -errno.
    [[nodiscard]] int reopen(Node& node, int flags);
    /// The attributes of a name, which the guest has looked up then, as a reply's entry. \returns 0 or
    /// -errno.
    [[nodiscard]] i32 put_entry(Node& parent, const char* name, FuseReply& reply);
    [[nodiscard]] fuse_entry_out entry_of(const Node& node, const host::Attributes& attributes) const;
    /// Who makes something for the guest's user.
    [[nodiscard]] Requester requester(const FuseRequest& request) const {
        return Requester(is_root, request.header().uid, request.header().gid);
    }
    void set_mask(u32 mask);
};

}  // namespace mayfly
