// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/name_files.h"

#include <initializer_list>

#include <asm/stat.h>
#include <linux/errno.h>
#include <linux/fcntl.h>

#include "firmware/init/set_up.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

constexpr u64 kMode = 0644;

long open_etc(const char* path, u64 flags) {
    make_directories("/etc");
    return system_call(__NR_openat, static_cast<u64>(AT_FDCWD), address(path), flags | O_WRONLY | O_CLOEXEC,
                       kMode);
}

/// `file` is what opening it returned.
void write_all(const char* path, long file, const char* text, u64 size_bytes) {
    long result = file;
    if (file >= 0) result = system_call(__NR_write, static_cast<u64>(file), address(text), size_bytes);
    if (result < 0) say("cannot write ", path, ": ", error_name(-result));
}

}  // namespace

void Lines::add(const char* a, const char* b, const char* c) {
    const u64 size = length(a) + length(b) + length(c) + 1;
    if (size > sizeof(text_) - used_) return;
    for (const char* part : {a, b, c, "\n"})
        for (; *part != 0; ++part) text_[used_++] = *part;
}

void write_resolv_conf(const Lines& lines) {
    constexpr const char* kPath = "/etc/resolv.conf";
    system_call(__NR_unlink, address(kPath));
    const long file = open_etc(kPath, O_CREAT | O_EXCL);
    write_all(kPath, file, lines.text(), lines.size_bytes());
    if (file >= 0) close_file(static_cast<int>(file));
}

void add_to_hosts(const Lines& lines) {
    constexpr const char* kPath = "/etc/hosts";
    static constexpr char kLoopback[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";
    const long file = open_etc(kPath, O_CREAT | O_APPEND);
    struct stat status {};
    if (file >= 0 && system_call(__NR_fstat, static_cast<u64>(file), address(&status)) == 0 &&
        status.st_size == 0)
        write_all(kPath, file, kLoopback, sizeof(kLoopback) - 1);
    else
        write_all(kPath, file, "\n", 1);  // its last line may have no end
    if (file < 0) return;
    write_all(kPath, file, lines.text(), lines.size_bytes());
    close_file(static_cast<int>(file));
}

void write_setting(const char* path, const char* value) {
    const int file = open_file(path, O_WRONLY);
    if (file < 0) return;
    system_call(__NR_write, static_cast<u64>(file), address(value), length(value));
    close_file(file);
}

}  // namespace mayfly::init
