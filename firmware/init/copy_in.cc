// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/copy_in.h"

#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "firmware/init/listing.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

/// Each level has a listing on the stack, of which Linux gives us 8 MiB.
constexpr u32 kDepthMax = 256;
constexpr u64 kPathMax = 4096;
/// Of one call of sendfile(2).
constexpr u64 kPieceBytes = 1 << 30;

u64 number_of(int file) { return static_cast<u64>(file); }

long open_beneath(int directory, const char* name, u64 flags, u64 mode = 0) {
    return system_call(__NR_openat, number_of(directory), address(name), flags | O_CLOEXEC, mode);
}

/// A source directory, and its target.
struct Pair {
    int from;
    int to;
};

long copy_regular(Pair in, const char* name) {
    const long from = open_beneath(in.from, name, O_RDONLY);
    if (from < 0) return from;
    const long to = open_beneath(in.to, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    long result = to;
    if (to >= 0) {
        do {
            result = system_call(__NR_sendfile, static_cast<u64>(to), static_cast<u64>(from), 0, kPieceBytes);
        } while (result > 0 || result == -EINTR);
        close_file(static_cast<int>(to));
    }
    close_file(static_cast<int>(from));
    return result;
}

long copy_link(Pair in, const char* name) {
    char target[kPathMax];
    const long bytes =
        system_call(__NR_readlinkat, number_of(in.from), address(name), address(target), sizeof(target) - 1);
    if (bytes < 0) return bytes;
    target[bytes] = 0;
    return system_call(__NR_symlinkat, address(target), number_of(in.to), address(name));
}

/// In an order in which no mount hides another.
long copy_status(Pair in, const char* name, const struct stat& status) {
    long result = system_call(__NR_fchownat, number_of(in.to), address(name), status.st_uid, status.st_gid,
                              AT_SYMLINK_NOFOLLOW);
    if (result == 0 && (status.st_mode & kTypeMask) != kLinkType)
        result = system_call(__NR_fchmodat, number_of(in.to), address(name), status.st_mode & ~kTypeMask);
    const u64 times[4] = {status.st_atime, status.st_atime_nsec, status.st_mtime, status.st_mtime_nsec};
    if (result != 0) return result;
    return system_call(__NR_utimensat, number_of(in.to), address(name), address(times), AT_SYMLINK_NOFOLLOW);
}

class Copier {
  public:
    /// The content of a directory.
    long copy_listed(Pair in, u32 depth);

  private:
    long copy_named(Pair in, const char* name, u32 depth);
    long copy_directory(Pair in, const char* name, const struct stat& status, u32 depth);

    bool is_reported_ = false;  // the first error
};

long Copier::copy_directory(Pair in, const char* name, const struct stat& status, u32 depth) {
    if (depth == kDepthMax) return -ENAMETOOLONG;
    const long made = system_call(__NR_mkdirat, number_of(in.to), address(name), 0700);
    if (made != 0 && made != -EEXIST) return made;
    const long from = open_beneath(in.from, name, O_RDONLY | O_DIRECTORY);
    const long to = open_beneath(in.to, name, O_RDONLY | O_DIRECTORY);
    long result = from < 0 ? from : to;
    if (result >= 0) result = copy_listed({static_cast<int>(from), static_cast<int>(to)}, depth + 1);
    if (from >= 0) close_file(static_cast<int>(from));
    if (to >= 0) close_file(static_cast<int>(to));
    // An existing directory stays as it is.
    if (result == 0 && made == 0) result = copy_status(in, name, status);
    return result;
}

long Copier::copy_named(Pair in, const char* name, u32 depth) {
    struct stat status {};
    long result = system_call(__NR_newfstatat, number_of(in.from), address(name), address(&status),
                              AT_SYMLINK_NOFOLLOW);
    if (result != 0) return result;
    const u32 type = status.st_mode & kTypeMask;
    if (type == kDirectoryType) return copy_directory(in, name, status, depth);
    result = system_call(__NR_unlinkat, number_of(in.to), address(name), 0);
    if (result != 0 && result != -ENOENT) return result;
    if (type == kRegularType)
        result = copy_regular(in, name);
    else if (type == kLinkType)
        result = copy_link(in, name);
    else
        result = system_call(__NR_mknodat, number_of(in.to), address(name), status.st_mode, status.st_rdev);
    if (result == 0) result = copy_status(in, name, status);
    // To free its memory.
    if (result == 0) system_call(__NR_unlinkat, number_of(in.from), address(name), 0);
    return result;
}

long Copier::copy_listed(Pair in, u32 depth) {
    Listing listing(in.from);
    while (const char* name = listing.next()) {
        const long result = copy_named(in, name, depth);
        if (result == 0) continue;
        if (!is_reported_)
            say("cannot copy in ", name, ": ",
                result == -ENOSPC ? "not enough memory: give the guest more with --memory"
                                  : error_name(-result));
        is_reported_ = true;
        return result;
    }
    return listing.error();
}

}  // namespace

long copy_in(const char* from, const char* to) {
    const int here = open_file(from, O_RDONLY | O_DIRECTORY);
    if (here == -ENOENT) return 0;
    const int there = open_file(to, O_RDONLY | O_DIRECTORY);
    long result = here < 0 ? here : there;
    if (result >= 0) result = Copier().copy_listed({here, there}, 0);
    if (here >= 0) close_file(here);
    if (there >= 0) close_file(there);
    return result;
}

}  // namespace mayfly::init
