// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/operations/share.h"

#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace mayfly {

int Share::reopen(Node& node, int flags) {
    if (node.mode != S_IFREG && node.mode != S_IFDIR) return -EPERM;
    const int fd = nodes.fd_of(node);
    if (fd < 0) return fd;
    // For the kernel's files that would block, such as /proc/kmsg: O_NONBLOCK has no effect on others.
    flags |= O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if (options.is_read_only) flags |= O_NOATIME;
    for (;;) {
        const int opened = ::openat(descriptors.get(), DescriptorName(fd).c_str(), flags);
        if (opened >= 0) return opened;
        const bool is_full = errno == EMFILE || errno == ENFILE;
        if (errno == EPERM && (flags & O_NOATIME) != 0)
            flags &= ~O_NOATIME;  // only a file's owner may use it
        else if (!is_full && errno != EINTR)
            return -errno;
        else if (is_full && !nodes.close_oldest())
            return -ENFILE;
    }
}

fuse_entry_out Share::entry_of(const Node& node, const host::Attributes& attributes) const {
    fuse_entry_out entry = view.entry_of(attributes);
    entry.nodeid = node.id;
    entry.generation = node.generation;
    if (announces_submounts && node.mode == S_IFDIR && node.parent != nullptr &&
        (node.parent->key.mount != node.key.mount || node.parent->key.device != node.key.device))
        entry.attr.flags |= FUSE_ATTR_SUBMOUNT;
    return entry;
}

i32 Share::put_entry(Node& parent, const char* name, FuseReply& reply) {
    const int directory = nodes.fd_of(parent);
    if (directory < 0) return directory;
    host::Attributes attributes{};
    if (const int error = host::attributes_at(directory, name, attributes); error < 0) return error;
    Node* const node = nodes.look_up(parent, name, attributes);
    if (node == nullptr) return -ENOMEM;
    reply.put(entry_of(*node, attributes));
    return 0;
}

void Share::set_mask(u32 wanted) {
    if (const auto next = static_cast<mode_t>(wanted & 0777U); next != mask) {
        ::umask(next);
        mask = next;
    }
}

}  // namespace mayfly
