// SPDX-License-Identifier: Apache-2.0
// Times, extended attributes, access control lists and capabilities.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/xattr.h>

#include "probe.h"

namespace probe {
namespace {

constexpr unsigned kUser = 1000, kOther = 2000;
// Linux, include/uapi/linux/posix_acl_xattr.h and posix_acl.h.
constexpr uint16_t kUserObject = 1, kNamedUser = 2, kGroupObject = 4, kMask = 0x10, kOthers = 0x20;

void times(const std::string&) {
    write_file("file", "x");
    timespec both[2] = {{1'000'000'001, 123'456'789}, {2'000'000'002, 987'654'321}};
    done(::utimensat(AT_FDCWD, "file", both, 0), "utimensat");
    struct stat about = stat_of("file");
    need(about.st_atim.tv_sec == 1'000'000'001 && about.st_atim.tv_nsec == 123'456'789, "atime");
    need(about.st_mtim.tv_sec == 2'000'000'002 && about.st_mtim.tv_nsec == 987'654'321, "mtime");
    both[0].tv_nsec = UTIME_OMIT;
    both[1].tv_nsec = UTIME_NOW;
    done(::utimensat(AT_FDCWD, "file", both, 0), "utimensat");
    about = stat_of("file");
    need(about.st_atim.tv_sec == 1'000'000'001, "UTIME_OMIT");
    need(std::abs(about.st_mtim.tv_sec - ::time(nullptr)) < 100, "UTIME_NOW");
    timespec old[2] = {{-1000, 5}, {100, 0}};
    done(::utimensat(AT_FDCWD, "file", old, 0), "utimensat");
    need(stat_of("file").st_atim.tv_sec == -1000, "before 1970");
    // A change is a new mtime and ctime.
    ::usleep(20'000);
    const struct stat before = stat_of("file");
    write_fd(open_file("file", O_WRONLY).get(), "y", 0);
    const struct stat written = stat_of("file");
    need(written.st_mtim.tv_sec > before.st_mtim.tv_sec, "mtime after a write");
    need(written.st_ctim.tv_sec > before.st_ctim.tv_sec || written.st_ctim.tv_nsec != before.st_ctim.tv_nsec,
         "ctime");
    done(::utimensat(AT_FDCWD, ".", old, 0), "utimensat of a directory");
    write_file("new", "");
    need(stat_of(".").st_mtim.tv_sec > 100, "mtime of a directory in which a file was made");
    done(::symlink("file", "link"), "symlink");
    done(::utimensat(AT_FDCWD, "link", old, AT_SYMLINK_NOFOLLOW), "utimensat of a link");
    need(stat_of("link").st_mtim.tv_sec == 100 && stat_of("file").st_mtim.tv_sec != 100,
         "a link's own mtime");
    as_user(kOther, kOther,
            [&] { refused(::utimensat(AT_FDCWD, "file", old, 0), EPERM, "another's times"); });
}

void birth(const std::string&) {
    write_file("file", "x");
    struct statx about {};
    done(::statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS | STATX_BTIME, &about), "statx");
    if ((about.stx_mask & STATX_BTIME) == 0) {
        throw Unsupported("statx gives no time of birth");
    }
    need(std::abs(about.stx_btime.tv_sec - ::time(nullptr)) < 100, "the time of birth");
}

std::string value_of(const char* path, const char* name) {
    char buffer[65536];
    const long length = done(::lgetxattr(path, name, buffer, sizeof buffer), std::string("getxattr ") + name);
    return {buffer, static_cast<size_t>(length)};
}

void set(const char* path, const char* name, const std::string& value, int flags = 0) {
    done(::lsetxattr(path, name, value.data(), value.size(), flags), std::string("setxattr ") + name);
}

std::vector<std::string> listed(const char* path) {
    char buffer[65536];
    const long length = done(::llistxattr(path, buffer, sizeof buffer), "listxattr");
    std::vector<std::string> names;
    for (long at = 0; at < length; at += static_cast<long>(names.back().size()) + 1) {
        names.emplace_back(buffer + at);
    }
    std::sort(names.begin(), names.end());
    return names;
}

void extended(const std::string&) {
    write_file("file", "x");
    refused(::getxattr("file", "user.nothing", nullptr, 0), ENODATA, "an absent one");
    set("file", "user.one", "1");
    set("file", "user.binary", std::string("\0\xff\n", 3));
    set("file", "user.empty", "");
    const std::string large = pattern(3000);
    set("file", "user.large", large);
    need(value_of("file", "user.one") == "1" && value_of("file", "user.large") == large, "values");
    need(value_of("file", "user.binary") == std::string("\0\xff\n", 3), "a value of any bytes");
    need(value_of("file", "user.empty").empty(), "an empty value");
    need(listed("file") == std::vector<std::string>{"user.binary", "user.empty", "user.large", "user.one"},
         "names");
    need(::getxattr("file", "user.large", nullptr, 0) == 3000, "the size of a value");
    char small[10];
    refused(::getxattr("file", "user.large", small, sizeof small), ERANGE, "a buffer that is too small");
    refused(::listxattr("file", small, sizeof small), ERANGE, "a buffer that is too small for names");
    refused(::setxattr("file", "user.one", "2", 1, XATTR_CREATE), EEXIST, "XATTR_CREATE");
    refused(::setxattr("file", "user.two", "2", 1, XATTR_REPLACE), ENODATA, "XATTR_REPLACE");
    set("file", "user.one", "replaced", XATTR_REPLACE);
    need(value_of("file", "user.one") == "replaced", "a value that was replaced");
    done(::removexattr("file", "user.one"), "removexattr");
    refused(::removexattr("file", "user.one"), ENODATA, "removexattr again");
    done(::mkdir("directory", 0755), "mkdir");
    set("directory", "user.directory", "d");
    need(value_of("directory", "user.directory") == "d", "of a directory");
    done(::symlink("file", "link"), "symlink");
    refused(::lsetxattr("link", "user.link", "l", 1, 0), EPERM, "of a symbolic link");
    const Fd file = open_file("file", O_RDONLY);
    done(::fsetxattr(file.get(), "user.fd", "f", 1, 0), "fsetxattr");
    need(value_of("file", "user.fd") == "f", "by a descriptor");
}

void trusted(const std::string&) {
    write_file("file", "x");
    done(::chmod("file", 0666), "chmod");
    set("file", "trusted.overlay.opaque", "y");
    need(value_of("file", "trusted.overlay.opaque") == "y", "its value");
    as_user(kUser, kUser, [] {
        refused(::setxattr("file", "trusted.mine", "n", 1, 0), EPERM, "a user's");
        char value[8];
        refused(::getxattr("file", "trusted.overlay.opaque", value, sizeof value), ENODATA,
                "what a user reads");
    });
}

void capabilities(const std::string&) {
    write_file("program", "x");
    vfs_cap_data data{};
    data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    data.data[0].permitted = 1U << CAP_NET_RAW;
    // SAFETY: plain numbers, whose bytes are the attribute's value.
    const std::string value(reinterpret_cast<const char*>(&data), sizeof data);
    set("program", "security.capability", value);
    need(value_of("program", "security.capability") == value, "the capability");
    // A write takes it away.
    write_fd(open_file("program", O_WRONLY).get(), "y", 0);
    refused(::getxattr("program", "security.capability", nullptr, 0), ENODATA,
            "the capability of what was written");
    set("program", "security.capability", value);
    done(::chown("program", kUser, kUser), "chown");
    refused(::getxattr("program", "security.capability", nullptr, 0), ENODATA,
            "the capability of what was given away");
}

struct Rule {
    uint16_t tag;
    uint16_t permissions;
    uint32_t id;
};

std::string acl(const std::vector<Rule>& rules) {
    std::string bytes("\2\0\0\0", 4);  // POSIX_ACL_XATTR_VERSION
    for (const auto& rule : rules) {
        // SAFETY: plain numbers without padding, as the attribute has them.
        bytes.append(reinterpret_cast<const char*>(&rule), sizeof rule);
    }
    return bytes;
}

constexpr uint32_t kNobody = 0xffffffff;

void access_lists(const std::string&) {
    write_file("file", "listed");
    done(::chmod("file", 0600), "chmod");
    as_user(kUser, kUser, [] { refused(::open("file", O_RDONLY), EACCES, "reading without a list"); });
    const std::string list = acl({{kUserObject, 6, kNobody},
                                  {kNamedUser, 4, kUser},
                                  {kGroupObject, 0, kNobody},
                                  {kMask, 4, kNobody},
                                  {kOthers, 0, kNobody}});
    set("file", "system.posix_acl_access", list);
    need(value_of("file", "system.posix_acl_access") == list, "the list");
    as_user(kUser, kUser, [] {
        need(read_file("file") == "listed", "reading by the list");
        refused(::open("file", O_WRONLY), EACCES, "writing");
    });
    as_user(kOther, kOther, [] { refused(::open("file", O_RDONLY), EACCES, "another's reading"); });
    need((stat_of("file").st_mode & 0777) == 0640, "the mask is the group's part of the mode");
    done(::chmod("file", 0600), "chmod");
    as_user(kUser, kUser,
            [] { refused(::open("file", O_RDONLY), EACCES, "reading when the mask is empty"); });
}

void inherited_lists(const std::string&) {
    done(::mkdir("directory", 0777), "mkdir");
    const std::string list = acl({{kUserObject, 7, kNobody},
                                  {kNamedUser, 7, kUser},
                                  {kGroupObject, 5, kNobody},
                                  {kMask, 7, kNobody},
                                  {kOthers, 0, kNobody}});
    set("directory", "system.posix_acl_default", list);
    ::umask(077);  // which a list of the directory takes the place of
    write_file("directory/file", "inherited");
    done(::mkdir("directory/below", 0777), "mkdir");
    // 0644 that was asked for, within what the list gives.
    need((stat_of("directory/file").st_mode & 0777) == 0640,
         "the mode of a file there: " + std::to_string(stat_of("directory/file").st_mode & 0777));
    need(value_of("directory/below", "system.posix_acl_default") == list, "the list of a directory there");
    as_user(kUser, kUser, [] {
        need(read_file("directory/file") == "inherited", "reading by what was inherited");
        write_file("directory/below/new", "");
    });
    as_user(kOther, kOther, [] { refused(::open("directory/file", O_RDONLY), EACCES, "another's reading"); });
}

}  // namespace

std::vector<Entry> attribute_cases() {
    return {{"times", times},
            {"birth", birth},
            {"extended", extended},
            {"trusted", trusted},
            {"capabilities", capabilities},
            {"access_lists", access_lists},
            {"inherited_lists", inherited_lists}};
}

}  // namespace probe
