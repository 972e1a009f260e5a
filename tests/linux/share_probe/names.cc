// SPDX-License-Identifier: Apache-2.0
// Names and directories: links, renames, and what is listed.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <memory>
#include <set>

#include <fcntl.h>
#include <sys/wait.h>

#include "probe.h"

#ifndef MAX_HANDLE_SZ
#define MAX_HANDLE_SZ 128
#endif

namespace probe {
namespace {

void odd_names(const std::string&) {
    std::vector<std::string> names = {
        std::string(255, 'n'),  "new\nline",   "\x01\x7f", "\xff\xfe\x80", " ", "\"'$(`", "-rf", "...",
        "\xc3\xa4\xe2\x82\xac", "back\\slash", "*?[a]"};
    for (const auto& name : names) {
        write_file(name, name);
    }
    std::sort(names.begin(), names.end());
    need(names_in(".") == names, "names in the list");
    for (const auto& name : names) {
        need(read_file(name) == name, "the contents of " + name);
        done(::rename(name.c_str(), "other"), "rename");
        done(::rename("other", name.c_str()), "rename");
    }
    refused(::open(std::string(256, 'n').c_str(), O_WRONLY | O_CREAT, 0644), ENAMETOOLONG, "256 bytes");
    refused(::mkdir(std::string(256, 'n').c_str(), 0755), ENAMETOOLONG, "a directory of 256 bytes");
    refused(::open("nothing", O_RDONLY), ENOENT, "an absent one");
    refused(::open(" /below", O_RDONLY), ENOTDIR, "below a file");
    refused(::open(" ", O_WRONLY | O_CREAT | O_EXCL, 0644), EEXIST, "what is there already");
}

void deep(const std::string& directory) {
    std::string path = directory;
    for (int depth = 0; depth < 60; ++depth) {
        path += "/" + std::string(50, static_cast<char>('a' + depth % 26));
        done(::mkdir(path.c_str(), 0755), "mkdir");
    }
    write_file(path + "/leaf", "leaf");
    done(::chdir(path.c_str()), "chdir");
    need(read_file("leaf") == "leaf", "the leaf");
    char* where = ::getcwd(nullptr, 0);
    need(where != nullptr && path == where, "getcwd");
    ::free(where);
    done(::chdir("../../.."), "chdir");
    need(stat_of(".").st_ino == stat_of(path + "/../../..").st_ino, "parents");
}

void hard_links(const std::string&) {
    write_file("first", "shared");
    done(::link("first", "second"), "link");
    need(stat_of("first").st_nlink == 2 && stat_of("first").st_ino == stat_of("second").st_ino, "two names");
    write_file("second", "by the second");
    need(read_file("first") == "by the second", "contents");
    done(::chmod("first", 0600), "chmod");
    need((stat_of("second").st_mode & 07777) == 0600, "mode");
    refused(::link("first", "second"), EEXIST, "a link in a file's place");
    done(::mkdir("directory", 0755), "mkdir");
    refused(::link("directory", "third"), EPERM, "a link of a directory");
    done(::unlink("first"), "unlink");
    need(stat_of("second").st_nlink == 1 && read_file("second") == "by the second", "the one that is left");
    done(::symlink("second", "soft"), "symlink");
    done(::linkat(AT_FDCWD, "soft", AT_FDCWD, "soft too", 0), "a link of a symbolic link");
    need(S_ISLNK(stat_of("soft too").st_mode) && stat_of("soft").st_nlink == 2,
         "a symbolic link's second name");
    done(::linkat(AT_FDCWD, "soft", AT_FDCWD, "hard", AT_SYMLINK_FOLLOW), "a link of what it leads to");
    need(stat_of("hard").st_ino == stat_of("second").st_ino, "what it leads to");
    // Two names are one file also where nobody remembers the first.
    done(::rename("hard", "second"), "rename of a file to its own other name");
    need(exists("hard") && exists("second"), "it does nothing");
}

void soft_links(const std::string&) {
    for (const auto& target :
         {std::string("nowhere"), std::string(4000, 't'), std::string("../../../../../etc/passwd"),
          std::string("/etc/passwd"), std::string("a\nb\xff")}) {
        done(::symlink(target.c_str(), "link"), "symlink");
        char buffer[5000];
        const long length = done(::readlink("link", buffer, sizeof buffer), "readlink");
        need(std::string(buffer, static_cast<size_t>(length)) == target, "readlink");
        need(stat_of("link").st_size == static_cast<off_t>(target.size()), "the size");
        done(::unlink("link"), "unlink");
    }
    done(::symlink("loop", "loop"), "symlink");
    refused(::open("loop", O_RDONLY), ELOOP, "a loop");
    write_file("file", "file");
    done(::symlink("file", "link"), "symlink");
    need(read_file("link") == "file", "by the link");
    refused(::open("link", O_RDONLY | O_NOFOLLOW), ELOOP, "O_NOFOLLOW");
    refused(::symlink("x", "link"), EEXIST, "symlink");
    // Resolved here: this system's own file, not one of the sharing host.
    done(::symlink("/proc/self/status", "status"), "symlink");
    need(read_file("status").find("share_probe") != std::string::npos, "a link out of the directory");
}

void renames(const std::string&) {
    write_file("a", "a");
    write_file("b", "b");
    const Fd old = open_file("b", O_RDONLY);
    done(::rename("a", "b"), "rename");
    need(read_file("b") == "a" && !exists("a"), "in another's place");
    need(read_fd(old.get(), 2, 0) == "b" && stat_of(old.get()).st_nlink == 0, "what was there is still read");
    done(::mkdir("full", 0755), "mkdir");
    done(::mkdir("empty", 0755), "mkdir");
    write_file("full/file", "inside");
    refused(::rename("empty", "full"), ENOTEMPTY, "in the place of a full directory");
    refused(::rename("full", "full/below"), EINVAL, "into itself");
    refused(::rename("b", "full"), EISDIR, "a file in a directory's place");
    refused(::rename("full", "b"), ENOTDIR, "a directory in a file's place");
    refused(::rmdir("full"), ENOTEMPTY, "rmdir of a full directory");
    refused(::rmdir("b"), ENOTDIR, "rmdir of a file");
    refused(::unlink("full"), EISDIR, "unlink of a directory");
    refused(::rename("nothing", "c"), ENOENT, "rename of nothing");
    done(::rename("full", "empty"), "in the place of an empty directory");
    need(read_file("empty/file") == "inside" && !exists("full"), "the directory");
    done(::mkdir("other", 0755), "mkdir");
    done(::rename("empty/file", "other/moved"), "to another directory");
    need(read_file("other/moved") == "inside" && names_in("empty").empty(), "another directory");
    done(::rename("empty", "other/empty"), "a directory to another");
    need(stat_of("other").st_nlink == 3 && stat_of(".").st_nlink == 3, "links of directories");
}

void renames_by_flags(const std::string&) {
    write_file("a", "a");
    write_file("b", "b");
    refused(::renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST, "RENAME_NOREPLACE");
    done(::renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE), "RENAME_NOREPLACE");
    need(read_file("c") == "a" && read_file("b") == "b", "RENAME_NOREPLACE");
    done(::mkdir("directory", 0755), "mkdir");
    write_file("directory/inside", "inside");
    done(::renameat2(AT_FDCWD, "c", AT_FDCWD, "directory", RENAME_EXCHANGE), "RENAME_EXCHANGE");
    need(read_file("directory") == "a" && read_file("c/inside") == "inside", "RENAME_EXCHANGE");
    refused(::renameat2(AT_FDCWD, "c", AT_FDCWD, "nothing", RENAME_EXCHANGE), ENOENT,
            "RENAME_EXCHANGE with nothing");
}

void whiteout(const std::string&) {
    write_file("a", "a");
    done(::renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT), "RENAME_WHITEOUT");
    need(read_file("b") == "a", "RENAME_WHITEOUT");
    const struct stat left = stat_of("a");
    need(S_ISCHR(left.st_mode) && left.st_rdev == 0, "what it leaves is a device of 0, 0");
}

void renamed_while_open(const std::string&) {
    done(::mkdir("before", 0755), "mkdir");
    done(::mkdir("before/below", 0755), "mkdir");
    const Fd file = open_file("before/below/file", O_RDWR | O_CREAT);
    const Fd directory = open_file("before/below", O_RDONLY | O_DIRECTORY);
    done(::chdir("before/below"), "chdir");
    done(::rename("../../before", "../../after"), "rename");
    write_fd(file.get(), "still open", 0);
    need(read_file("file") == "still open", "by the current directory");
    need(read_file("../../after/below/file") == "still open", "by the new name");
    const Fd made = Fd(::openat(directory.get(), "made", O_WRONLY | O_CREAT, 0644));
    need(made.get() >= 0 && exists("../../after/below/made") && !exists("../../before"), "openat");
    char* where = ::getcwd(nullptr, 0);
    need(where != nullptr && std::strstr(where, "/after/below") != nullptr, "getcwd");
    ::free(where);
}

void listing(const std::string&) {
    constexpr int kEntries = 5000;
    done(::mkdir("list", 0755), "mkdir");
    std::set<std::string> expected;
    for (int i = 0; i < kEntries; ++i) {
        const std::string name = "entry-" + std::to_string(i) + std::string(static_cast<size_t>(i % 40), 'x');
        expected.insert(name);
        done(::mknod(("list/" + name).c_str(), S_IFREG | 0644, 0), "mknod");
    }
    DIR* stream = ::opendir("list");
    need(stream != nullptr, "opendir");
    std::vector<std::pair<long, std::string>> places;
    std::set<std::string> found;
    while (true) {
        const long place = ::telldir(stream);
        const dirent* entry = ::readdir(stream);
        if (entry == nullptr) {
            break;
        }
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            need(found.insert(name).second, "twice in the list: " + name);
            need(entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN, "a type in the list");
            need(entry->d_ino == stat_of("list/" + name).st_ino, "an inode's number in the list");
        }
        if (places.size() * 97 < found.size()) {
            places.emplace_back(place, name);
        }
    }
    need(found == expected, "the list");
    for (auto at = places.rbegin(); at != places.rend(); ++at) {
        ::seekdir(stream, at->first);
        const dirent* entry = ::readdir(stream);
        need(entry != nullptr && at->second == entry->d_name, "after seekdir");
    }
    ::rewinddir(stream);
    // Removed while it is read, as rm -r does.
    while (const dirent* entry = ::readdir(stream)) {
        if (entry->d_name[0] != '.') {
            done(::unlink(("list/" + std::string(entry->d_name)).c_str()), "unlink");
        }
    }
    ::closedir(stream);
    for (const auto& name : names_in("list")) {
        done(::unlink(("list/" + name).c_str()), "unlink");
    }
    done(::rmdir("list"), "rmdir");
}

void changed_while_listed(const std::string&) {
    for (int i = 0; i < 1500; ++i) {
        write_file("old-" + std::to_string(i), "");
    }
    DIR* stream = ::opendir(".");
    std::set<std::string> found;
    int made = 0;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name.substr(0, 3) == "old") {
            need(found.insert(name).second, "twice in the list: " + name);
            if (found.size() % 10 == 0) {
                write_file("new-" + std::to_string(made++), "");
            }
        }
    }
    ::closedir(stream);
    need(found.size() == 1500, "what stayed is not all in the list");
    need(names_in(".").size() == 1500 + static_cast<size_t>(made), "the list afterwards");
}

void exclusive(const std::string&) {
    for (int round = 0; round < 20; ++round) {
        const std::string name = "lock-" + std::to_string(round);
        std::vector<pid_t> children;
        for (int i = 0; i < 6; ++i) {
            const pid_t child = ::fork();
            if (child == 0) {
                ::_exit(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL, 0644) >= 0 ? 1 : 0);
            }
            children.push_back(child);
        }
        int winners = 0;
        for (const pid_t child : children) {
            int status = 0;
            ::waitpid(child, &status, 0);
            winners += WEXITSTATUS(status);
        }
        need(winners == 1, std::to_string(winners) + " have made the same file");
    }
}

void handles(const std::string&) {
    write_file("file", "by a handle");
    const auto memory = std::make_unique<char[]>(sizeof(file_handle) + MAX_HANDLE_SZ);
    // SAFETY: new aligns for every type, and the structure's length is within what was asked for.
    auto* handle = reinterpret_cast<file_handle*>(memory.get());
    handle->handle_bytes = MAX_HANDLE_SZ;
    // A FUSE server need not recognise a file that the kernel has forgotten.
    Fd remembered = open_file("file", O_PATH);
    int mount = 0;
    done(::name_to_handle_at(AT_FDCWD, "file", handle, &mount, 0), "name_to_handle_at");
    const Fd place = open_file(".", O_RDONLY | O_DIRECTORY);
    {
        const Fd file(
            static_cast<int>(done(::open_by_handle_at(place.get(), handle, O_RDWR), "open_by_handle_at")));
        need(read_fd(file.get(), 100, 0) == "by a handle", "contents");
    }
    done(::rename("file", "renamed"), "rename");
    {
        const Fd file(
            static_cast<int>(done(::open_by_handle_at(place.get(), handle, O_RDWR), "after a rename")));
        need(stat_of(file.get()).st_ino == stat_of("renamed").st_ino, "the file after a rename");
    }
    remembered.close();
    done(::unlink("renamed"), "unlink");
    write_file("file", "another");
    refused(::open_by_handle_at(place.get(), handle, O_RDWR), ESTALE, "the handle of what is gone");
}

}  // namespace

std::vector<Entry> name_cases() {
    return {{"odd_names", odd_names},   {"deep", deep},
            {"hard_links", hard_links}, {"soft_links", soft_links},
            {"renames", renames},       {"renames_by_flags", renames_by_flags},
            {"whiteout", whiteout},     {"renamed_while_open", renamed_while_open},
            {"listing", listing},       {"changed_while_listed", changed_while_listed},
            {"exclusive", exclusive},   {"handles", handles}};
}

}  // namespace probe
