// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/share/operations/operations.h"

namespace mayfly::operations {

namespace {

bool is_itself(const char* name) { return std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0; }

/// Puts entries while there is room. `put(entry, bytes)` fills the record before the name, which is zeroed.
class EntryWriter {
  public:
    EntryWriter(FuseReply& reply, std::size_t room)
        : reply_(reply), room_(std::min(room, FuseReply::kBytesMax)) {}

    [[nodiscard]] bool has_room(const DirectoryEntry& entry, std::size_t header_bytes) const {
        return reply_.used_bytes() + bytes_of(entry, header_bytes) <= room_;
    }
    /// has_room().
    void put(const DirectoryEntry& entry, const fuse_entry_out* node) {
        const std::size_t header_bytes = node != nullptr ? sizeof *node : 0;
        const std::size_t bytes = bytes_of(entry, header_bytes);
        const std::size_t name_bytes = std::strlen(entry.name);
        std::byte* const at = reply_.space(bytes).data();
        std::memset(at, 0, bytes);
        if (node != nullptr) std::memcpy(at, node, sizeof *node);
        fuse_dirent record{};
        record.ino = entry.inode;
        record.off = entry.next_offset;
        record.namelen = static_cast<u32>(name_bytes);
        record.type = entry.type;
        std::memcpy(at + header_bytes, &record, sizeof record);
        std::memcpy(at + header_bytes + sizeof record, entry.name, name_bytes);
        reply_.used(bytes);
    }

  private:
    [[nodiscard]] static std::size_t bytes_of(const DirectoryEntry& entry, std::size_t header_bytes) {
        return FUSE_REC_ALIGN(header_bytes + sizeof(fuse_dirent) + std::strlen(entry.name));
    }

    FuseReply& reply_;
    std::size_t room_;
};

/// The entry's node, looked up; without a number where the file has gone meanwhile, or is nobody's to look
/// up.
fuse_entry_out node_of(Share& share, Node& directory, int fd, const DirectoryEntry& entry) {
    host::Attributes attributes{};
    if (is_itself(entry.name) || host::attributes_at(fd, entry.name, attributes) < 0) return {};
    Node* const node = share.nodes.look_up(directory, entry.name, attributes);
    return node != nullptr ? share.entry_of(*node, attributes) : fuse_entry_out{};
}

i32 read_entries(const Call& call, bool has_nodes) {
    const auto arguments = call.request.take<fuse_read_in>();
    if (!arguments) return -EINVAL;
    OpenFile* const directory = call.share.files.directory(arguments->fh);
    if (directory == nullptr) return -EBADF;
    const int fd = directory->fd.get();
    const std::size_t header_bytes = has_nodes ? sizeof(fuse_entry_out) : 0;
    EntryWriter writer(call.reply, std::min<std::size_t>(arguments->size, call.reply.room_bytes()));
    u64 offset = arguments->offset;
    for (;;) {
        const DirectoryStream::Next next = directory->entries->at(fd, offset);
        // Entries before an error are returned first; the error comes again next time.
        if (next.step == DirectoryStream::Step::Failed && call.reply.used_bytes() == 0) return next.error;
        if (next.step != DirectoryStream::Step::Entry) return 0;
        if (!writer.has_room(next.entry, header_bytes)) return call.reply.used_bytes() == 0 ? -EINVAL : 0;
        if (has_nodes) {
            const fuse_entry_out node = node_of(call.share, call.node, fd, next.entry);
            writer.put(next.entry, &node);
        } else {
            writer.put(next.entry, nullptr);
        }
        directory->entries->pass(next.entry);
        offset = next.entry.next_offset;
    }
}

}  // namespace

i32 opendir(const Call& call) {
    if (call.node.mode != S_IFDIR) return -ENOTDIR;
    const int opened = call.share.reopen(call.node, O_RDONLY | O_DIRECTORY);
    if (opened < 0) return opened;
    const u32 flags =
        call.share.options.cache == ShareCache::Always ? u32{FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE} : 0;
    const std::optional<u64> handle = call.share.files.add(UniqueFd::adopt(opened), true);
    if (!handle) return -ENFILE;
    call.reply.put(fuse_open_out{.fh = *handle, .open_flags = flags, .padding = 0});
    return 0;
}

i32 readdir(const Call& call) { return read_entries(call, false); }
i32 readdirplus(const Call& call) { return read_entries(call, true); }

i32 fsyncdir(const Call& call) {
    const auto arguments = call.request.take<fuse_fsync_in>();
    if (!arguments) return -EINVAL;
    const OpenFile* const directory = call.share.files.directory(arguments->fh);
    if (directory == nullptr) return -EBADF;
    return ::fsync(directory->fd.get()) < 0 ? -errno : 0;
}

}  // namespace mayfly::operations
