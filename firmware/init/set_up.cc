// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/set_up.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/mount.h>
#include <linux/sockios.h>

#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

bool mount(const char* type, const char* place, u64 flags, const char* options) {
    const long result =
        system_call(__NR_mount, address(type), address(place), address(type), flags, address(options));
    // EBUSY: already mounted. ENODEV: the kernel lacks the file system; ENOENT: it lacks the directory.
    if (result != 0 && result != -EBUSY && result != -ENODEV && result != -ENOENT)
        say("cannot mount ", place, ": ", error_name(-result));
    return result == 0 || result == -EBUSY;
}

/// Whether a directory is empty.
bool is_empty(const char* path) {
    const int directory = open_file(path, O_RDONLY | O_DIRECTORY);
    if (directory < 0) return false;
    // Two records for "." and "..", 24 bytes each, come first; any further record does not fit beside them or
    // follows later.
    alignas(u64) char listing[1024];
    const long got =
        system_call(__NR_getdents64, static_cast<u64>(directory), address(listing), sizeof(listing));
    close_file(directory);
    return got >= 0 && got <= 48;
}

constexpr u32 kCharacter = 0020000;  // S_IFCHR, which <linux/stat.h> hides behind <linux/if.h>

struct Node {
    const char* path;
    u32 mode;
    u32 major;
    u32 minor;
};
/// For a kernel without devtmpfs (Documentation/admin-guide/devices.txt).
constexpr Node kNodes[] = {
    {"/dev/null", kCharacter | 0666, 1, 3},    {"/dev/zero", kCharacter | 0666, 1, 5},
    {"/dev/full", kCharacter | 0666, 1, 7},    {"/dev/random", kCharacter | 0666, 1, 8},
    {"/dev/urandom", kCharacter | 0666, 1, 9}, {"/dev/kmsg", kCharacter | 0644, 1, 11},
    {"/dev/port", kCharacter | 0600, 1, 4},    {"/dev/tty", kCharacter | 0666, 5, 0},
    {"/dev/console", kCharacter | 0600, 5, 1}, {"/dev/ptmx", kCharacter | 0666, 5, 2},
};

struct Link {
    const char* target;
    const char* path;
};
/// Names that programs expect and udev would make.
constexpr Link kLinks[] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
};

struct OfKernels {
    const char* type;
    const char* place;
};
/// Each is mounted where the kernel provides its directory.
constexpr OfKernels kOfKernels[] = {
    {"debugfs", "/sys/kernel/debug"}, {"tracefs", "/sys/kernel/tracing"},     {"bpf", "/sys/fs/bpf"},
    {"cgroup2", "/sys/fs/cgroup"},    {"securityfs", "/sys/kernel/security"},
};

void make_directory(const char* path) { system_call(__NR_mkdir, address(path), 0755); }

}  // namespace

void mount_file_systems() {
    constexpr u64 kPlain = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount("proc", "/proc", kPlain, "");
    mount("sysfs", "/sys", kPlain, "");
    if (!mount("devtmpfs", "/dev", MS_NOSUID, "mode=0755")) {
        system_call(__NR_umask, 0);
        for (const Node& node : kNodes)
            system_call(__NR_mknod, address(node.path), node.mode, node.major << 8 | node.minor);
        system_call(__NR_umask, 022);
    }
    for (const Link& link : kLinks) system_call(__NR_symlink, address(link.target), address(link.path));
    for (const auto& [type, place] : kOfKernels) mount(type, place, kPlain, "");
    make_directory("/dev/pts");
    mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
    make_directory("/dev/shm");
    mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
}

void mount_scratch() {
    if (is_empty("/tmp")) mount("tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777");
    if (is_empty("/run")) mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755");
}

void make_directories(const char* path) {
    constexpr u64 kPathMax = 4096;
    char part[kPathMax];
    for (u64 used = 0; used < kPathMax - 1; ++used) {
        part[used] = 0;
        if (used > 1 && (path[used] == '/' || path[used] == 0)) make_directory(part);
        part[used] = path[used];
        if (path[used] == 0) return;
    }
}

void set_up_host(const char* host_name) {
    constexpr u64 kInternet = 2;  // AF_INET
    constexpr u64 kDatagram = 2;  // SOCK_DGRAM
    constexpr u64 kCloseOnExec = O_CLOEXEC;
    system_call(__NR_sethostname, address(host_name), length(host_name));
    const long socket = system_call(__NR_socket, kInternet, kDatagram | kCloseOnExec, 0);
    if (socket < 0) return;
    struct ifreq request {};
    request.ifr_name[0] = 'l';
    request.ifr_name[1] = 'o';
    if (system_call(__NR_ioctl, static_cast<u64>(socket), SIOCGIFFLAGS, address(&request)) == 0) {
        request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
        const long result =
            system_call(__NR_ioctl, static_cast<u64>(socket), SIOCSIFFLAGS, address(&request));
        if (result != 0) say("cannot bring lo up: ", error_name(-result));
    }
    close_file(static_cast<int>(socket));
}

}  // namespace mayfly::init
