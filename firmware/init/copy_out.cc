// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/copy_out.h"

#include <asm/stat.h>
#include <asm/statfs.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>

#include "firmware/init/file_records.h"
#include "firmware/init/listing.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

using channel::RingName;
using file_records::Head;
using file_records::Kind;

/// Each level has a listing on the stack, of which Linux gives us 8 MiB.
constexpr u32 kDepthMax = 256;
constexpr u64 kBlockBytes = 512;  // of st_blocks

/// configfs and mqueue, which are missing from Linux's headers.
constexpr u64 kConfiguration = 0x6265'6570;
constexpr u64 kMessageQueues = 0x1980'0202;
/// Longer names, which some other file systems allow, cannot exist on the host.
constexpr u64 kNameBytesMax = 255;

/// Not files, but a kernel's facts about itself.
bool is_made_up(u64 file_system) {
    constexpr u64 kMadeUp[] = {PROC_SUPER_MAGIC,    SYSFS_MAGIC,    DEVPTS_SUPER_MAGIC, CGROUP_SUPER_MAGIC,
                               CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC,  TRACEFS_MAGIC,      BPF_FS_MAGIC,
                               SECURITYFS_MAGIC,    kConfiguration, PSTOREFS_MAGIC,     EFIVARFS_MAGIC,
                               SELINUX_MAGIC,       SMACK_MAGIC,    BINFMTFS_MAGIC,     AAFS_MAGIC,
                               NSFS_MAGIC,          kMessageQueues};
    for (const u64 one : kMadeUp)
        if (one == file_system) return true;
    return false;
}

class Sender {
  public:
    explicit Sender(Streams& streams) : streams_(streams) {}

    void send_all(const char* const* paths);

  private:
    /// `head` without the copy and the path, which are filled in here.
    void send(Head head, const void* data = nullptr);
    void put(const void* from, u32 bytes);
    void send_problem(long error) { send({.kind = Kind::Problem, .value = static_cast<u64>(-error)}); }
    void send_named(int directory, const char* name, u64 flags, u32 depth);
    void send_directory(int directory, const char* name, u64 flags, const struct stat& status, u32 depth);
    void send_listed(int directory, u32 depth);
    void send_file(int directory, const char* name, u64 flags, const struct stat& status);
    void send_content(int file, const struct stat& status);
    void send_link(int directory, const char* name, u32 mode);

    Streams& streams_;
    bool is_left_ = false;  // the monitor takes no more
    u32 copy_ = 0;
    u64 device_ = 0;  // of the requested file
    u32 path_bytes_ = 0;
    char path_[file_records::kPathBytesMax + 1] = {};
    u8 data_[file_records::kDataBytesMax] = {};
};

void Sender::put(const void* from, u32 bytes) {
    const auto* next = static_cast<const u8*>(from);
    while (bytes != 0 && !is_left_) {
        const u32 done = streams_.put(RingName::Files, next, bytes);
        next += done;
        bytes -= done;
        is_left_ = streams_.is_left(RingName::Files);
        if (bytes == 0 || is_left_) return;
        // The program that a message could be for has ended.
        channel::Message message{};
        while (streams_.take_message(message)) {
        }
        if (!streams_.wish(channel::kWishMessages | channel::wish_of(RingName::Files)))
            streams_.wake().wait();
    }
}

void Sender::send(Head head, const void* data) {
    const bool has_path = head.kind != Kind::Data && head.kind != Kind::FileEnd && head.kind != Kind::End;
    head.copy = copy_;
    head.path_bytes = has_path ? path_bytes_ : 0;
    put(&head, sizeof(head));
    put(path_, head.path_bytes);
    put(data, head.data_bytes);
}

void Sender::send_link(int directory, const char* name, u32 mode) {
    const long got = system_call(__NR_readlinkat, static_cast<u64>(directory), address(name), address(data_),
                                 file_records::kPathBytesMax);
    if (got < 0) return send_problem(got);
    send({.kind = Kind::Link, .data_bytes = static_cast<u32>(got), .mode = mode}, data_);
}

void Sender::send_content(int file, const struct stat& status) {
    const u64 size_bytes = static_cast<u64>(status.st_size);
    bool has_holes = static_cast<u64>(status.st_blocks) * kBlockBytes < size_bytes;
    u64 at = 0;
    while (!is_left_) {
        if (has_holes) {
            const long data_at = system_call(__NR_lseek, static_cast<u64>(file), at, SEEK_DATA);
            if (data_at == -ENXIO) {  // only a hole up to its end
                if (at < size_bytes) at = size_bytes;
                break;
            }
            has_holes = data_at >= 0;
            if (has_holes) at = static_cast<u64>(data_at);
        }
        const long got = system_call(__NR_pread64, static_cast<u64>(file), address(data_), sizeof(data_), at);
        if (got == -EINTR) continue;
        if (got < 0) return send_problem(got);
        if (got == 0) break;
        send({.kind = Kind::Data, .data_bytes = static_cast<u32>(got), .value = at}, data_);
        at += static_cast<u64>(got);
    }
    send({.kind = Kind::FileEnd,
          .mtime_ns = static_cast<u32>(status.st_mtime_nsec),
          .value = at,
          .mtime = static_cast<i64>(status.st_mtime)});
}

void Sender::send_file(int directory, const char* name, u64 flags, const struct stat& status) {
    const long file = system_call(__NR_openat, static_cast<u64>(directory), address(name),
                                  O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    if (file < 0) return send_problem(file);
    send({.kind = Kind::File, .mode = status.st_mode});
    send_content(static_cast<int>(file), status);
    close_file(static_cast<int>(file));
}

void Sender::send_listed(int directory, u32 depth) {
    Listing listing(directory);
    while (const char* name = is_left_ ? nullptr : listing.next()) {
        const u32 before = path_bytes_;
        const u64 name_bytes = length(name);
        if (name_bytes > kNameBytesMax || before + 1 + name_bytes > file_records::kPathBytesMax) {
            send_problem(-ENAMETOOLONG);
            continue;
        }
        if (before != 0) path_[path_bytes_++] = '/';
        __builtin_memcpy(path_ + path_bytes_, name, name_bytes);
        path_bytes_ += static_cast<u32>(name_bytes);
        send_named(directory, name, O_NOFOLLOW, depth);
        path_bytes_ = before;
    }
    if (listing.error() != 0) send_problem(listing.error());
}

void Sender::send_directory(int directory, const char* name, u64 flags, const struct stat& status,
                            u32 depth) {
    const long opened = system_call(__NR_openat, static_cast<u64>(directory), address(name),
                                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | flags);
    if (opened < 0) return send_problem(opened);
    struct statfs system {};
    const bool is_elsewhere = depth != 0 && status.st_dev != device_;
    if (is_elsewhere && system_call(__NR_fstatfs, static_cast<u64>(opened), address(&system)) == 0 &&
        is_made_up(static_cast<u64>(system.f_type))) {
        send({.kind = Kind::LeftOut, .mode = status.st_mode});
    } else if (depth == kDepthMax) {
        send_problem(-ENAMETOOLONG);
    } else {
        send({.kind = Kind::Directory, .mode = status.st_mode});
        send_listed(static_cast<int>(opened), depth + 1);
    }
    close_file(static_cast<int>(opened));
}

/// `flags` is O_NOFOLLOW, or 0 for the requested file.
void Sender::send_named(int directory, const char* name, u64 flags, u32 depth) {
    struct stat status {};
    const u64 how = flags == 0 ? 0 : AT_SYMLINK_NOFOLLOW;
    const long result =
        system_call(__NR_newfstatat, static_cast<u64>(directory), address(name), address(&status), how);
    if (result < 0) return send_problem(result);
    if (depth == 0) device_ = status.st_dev;
    switch (status.st_mode & kTypeMask) {
        case kDirectoryType: return send_directory(directory, name, flags, status, depth);
        case kRegularType: return send_file(directory, name, flags, status);
        case kLinkType: return send_link(directory, name, status.st_mode);
        default: return send({.kind = Kind::LeftOut, .mode = status.st_mode});
    }
}

void Sender::send_all(const char* const* paths) {
    for (; paths[copy_] != nullptr && !is_left_; ++copy_) {
        path_bytes_ = 0;
        send_named(AT_FDCWD, paths[copy_], 0, 0);
    }
    copy_ = 0;
    send({.kind = Kind::End});
}

}  // namespace

void copy_out(const char* const* paths, Streams& streams) {
    Sender sender(streams);
    sender.send_all(paths);
}

}  // namespace mayfly::init
