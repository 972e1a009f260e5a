// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/files/directory_stream.h"

#include <cerrno>
#include <cstring>
#include <dirent.h>

#include <sys/syscall.h>
#include <unistd.h>

namespace mayfly {

namespace {

/// The layout of getdents64(2).
struct Record {
    u64 inode;
    i64 next_offset;
    u16 bytes;
    u8 type;
};
constexpr std::size_t kNameAt = 19;

}  // namespace

int DirectoryStream::fill(int fd) {
    if (buffer_ == nullptr) buffer_ = std::make_unique_for_overwrite<std::array<char, kBufferBytes>>();
    const long bytes = ::syscall(SYS_getdents64, fd, buffer_->data(), buffer_->size());
    begin_ = 0;
    end_ = bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
    return bytes < 0 ? -errno : 0;
}

DirectoryStream::Next DirectoryStream::at(int fd, u64 offset) {
    if (offset != offset_) {
        if (::lseek(fd, static_cast<off_t>(offset), SEEK_SET) < 0) return {Step::Failed, -errno};
        begin_ = end_ = 0;
        offset_ = offset;
    }
    if (begin_ == end_) {
        if (const int error = fill(fd); error < 0) return {Step::Failed, error};
        if (begin_ == end_) {
            buffer_.reset();
            return {Step::End, 0};
        }
    }
    Record record{};
    std::memcpy(&record, &(*buffer_)[begin_], sizeof record);
    record_bytes_ = record.bytes;
    const DirectoryEntry entry{.inode = record.inode,
                               .next_offset = static_cast<u64>(record.next_offset),
                               .type = record.type,
                               .name = &(*buffer_)[begin_ + kNameAt]};
    return {Step::Entry, 0, entry};
}

void DirectoryStream::pass(const DirectoryEntry& entry) {
    begin_ += record_bytes_;
    offset_ = entry.next_offset;
}

}  // namespace mayfly
