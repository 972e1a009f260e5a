// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/name_files.h"

#include <initializer_list>

#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>

#include "firmware/init/set_up.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

constexpr u64 kMode = 0644;

struct NameFile {
    const char* in_root;
    const char* beside;

    [[nodiscard]] const char* at(NamePlace place) const {
        return place == NamePlace::Root ? in_root : beside;
    }
};
constexpr NameFile kResolvConf{"/etc/resolv.conf", "/dev/.mayfly/resolv.conf"};
constexpr NameFile kHosts{"/etc/hosts", "/dev/.mayfly/hosts"};

long open_new(const char* path, u64 flags) {
    return system_call(__NR_openat, static_cast<u64>(AT_FDCWD), address(path), flags | O_WRONLY | O_CLOEXEC,
                       kMode);
}

/// `file` is the result of opening it.
void write_all(const char* path, long file, const char* text, u64 size_bytes) {
    long result = file;
    if (file >= 0) result = system_call(__NR_write, static_cast<u64>(file), address(text), size_bytes);
    if (result < 0) say("cannot write ", path, ": ", error_name(-result));
}

/// Covers the root's file of that name.
void show(NameFile file, NamePlace place) {
    if (place == NamePlace::Root) return;
    const long result =
        system_call(__NR_mount, address(file.beside), address(file.in_root), address(""), MS_BIND, 0);
    if (result != 0)
        say("cannot mount over ", file.in_root,
            ", which the host's directory must contain: ", error_name(-result));
}

/// Copies the root's file into an open one.
void copy_from(const char* path, long to) {
    constexpr u64 kBytesMax = 1 << 20;
    const int from = open_file(path, O_RDONLY);
    if (from < 0 || to < 0) return;
    system_call(__NR_sendfile, static_cast<u64>(to), static_cast<u64>(from), 0, kBytesMax);
    close_file(from);
}

}  // namespace

void Lines::add(const char* a, const char* b, const char* c) {
    const u64 size = length(a) + length(b) + length(c) + 1;
    if (size > sizeof(text_) - used_) return;
    for (const char* part : {a, b, c, "\n"})
        for (; *part != 0; ++part) text_[used_++] = *part;
}

void write_resolv_conf(const Lines& lines, NamePlace place) {
    const char* const path = kResolvConf.at(place);
    if (place == NamePlace::Root) make_directories("/etc");
    system_call(__NR_unlink, address(path));
    const long file = open_new(path, O_CREAT | O_EXCL);
    write_all(path, file, lines.text(), lines.size_bytes());
    if (file < 0) return;
    close_file(static_cast<int>(file));
    show(kResolvConf, place);
}

void add_to_hosts(const Lines& lines, NamePlace place) {
    static constexpr char kLoopback[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    const char* const path = kHosts.at(place);
    if (place == NamePlace::Root) make_directories("/etc");
    // sendfile(2) refuses a file opened for appending.
    const long file = open_new(path, O_CREAT | (place == NamePlace::Root ? O_APPEND : O_TRUNC));
    if (place == NamePlace::Beside) copy_from(kHosts.in_root, file);
    struct stat status {};
    if (file >= 0 && system_call(__NR_fstat, static_cast<u64>(file), address(&status)) == 0 &&
        status.st_size == 0)
        write_all(path, file, kLoopback, sizeof(kLoopback) - 1);
    else
        write_all(path, file, "\n", 1);  // its last line may lack a newline
    if (file < 0) return;
    write_all(path, file, lines.text(), lines.size_bytes());
    close_file(static_cast<int>(file));
    show(kHosts, place);
}

void write_setting(const char* path, const char* value) {
    const int file = open_file(path, O_WRONLY);
    if (file < 0) return;
    system_call(__NR_write, static_cast<u64>(file), address(value), length(value));
    close_file(file);
}

}  // namespace mayfly::init
