// SPDX-License-Identifier: Apache-2.0
// Functions of glibc that musl lacks or names differently, for a mayfly that is linked with musl.
//
// mayfly, its libraries and libstdc++ are compiled with glibc's headers, and linked with musl's libc.a: types
// and constants of the two agree on x86-64, by musl's design. Only these names are missing; the linker
// reports any others. The headers declare them. Thread: any.
#include <cerrno>
#include <cstdarg>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

// libstdc++ reads this before it counts references without atomic operations.
extern "C" char __libc_single_threaded;  // NOLINT(bugprone-reserved-identifier): glibc's name
char __libc_single_threaded = 0;         // NOLINT(bugprone-reserved-identifier): glibc's name

// libgcc's unwinder calls this first, and dl_iterate_phdr() where it fails. Our code never throws.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): glibc's name
extern "C" int _dl_find_object(void* /*address*/, void* /*result*/) { return -1; }

// fcntl() with 64-bit offsets, which is the name that the headers give it. Its argument is a number or a
// pointer, and x86-64 passes both alike.
int fcntl(int fd, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    const long argument = va_arg(arguments, long);
    va_end(arguments);
    return static_cast<int>(::syscall(SYS_fcntl, fd, command, argument));
}

int tgkill(pid_t process, pid_t thread, int signal) {
    return static_cast<int>(::syscall(SYS_tgkill, process, thread, signal));
}

int statx(int directory, const char* path, int flags, unsigned mask, struct statx* result) noexcept {
    return static_cast<int>(::syscall(SYS_statx, directory, path, flags, mask, result));
}

// The kernel takes an offset as two halves, and on x86-64 only the first.
ssize_t preadv2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    return ::syscall(SYS_preadv2, fd, parts, count, offset, 0, flags);
}
ssize_t pwritev2(int fd, const iovec* parts, int count, off_t offset, int flags) {
    return ::syscall(SYS_pwritev2, fd, parts, count, offset, 0, flags);
}

// include/linux/kdev_t.h, new_decode_dev(), as user space sees it: twelve bits of the major and eight of the
// minor below, the rest above.
unsigned gnu_dev_major(dev_t device) noexcept {
    return static_cast<unsigned>((device >> 8 & 0xfff) | (device >> 32 & 0xffff'f000));
}
unsigned gnu_dev_minor(dev_t device) noexcept {
    return static_cast<unsigned>((device & 0xff) | (device >> 12 & 0xffff'ff00));
}
