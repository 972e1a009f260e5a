// SPDX-License-Identifier: Apache-2.0
// Whose a file is, and who may do what with it.
#include <cerrno>

#include <fcntl.h>

#include "probe.h"

namespace probe {
namespace {

constexpr unsigned kUser = 1000, kGroup = 1001, kOther = 2000;

unsigned mode_of(const std::string& path) { return stat_of(path).st_mode & 07777; }

void need_owner(const std::string& path, unsigned uid, unsigned gid) {
    const struct stat about = stat_of(path);
    need(about.st_uid == uid && about.st_gid == gid,
         path + " is of " + std::to_string(about.st_uid) + ":" + std::to_string(about.st_gid));
}

void modes(const std::string&) {
    open_file("file", O_WRONLY | O_CREAT, 0666).close();
    need(mode_of("file") == 0644, "the mask of the process");
    ::umask(0);
    open_file("all", O_WRONLY | O_CREAT, 0777).close();
    need(mode_of("all") == 0777, "no mask");
    done(::mkdir("directory", 01777), "mkdir");
    need(mode_of("directory") == 01777, "a directory's mode");
    for (const unsigned mode : {07777U, 04755U, 02755U, 0U, 0600U}) {
        done(::chmod("file", mode), "chmod");
        need(mode_of("file") == mode, "chmod");
    }
    open_file("written", O_WRONLY | O_CREAT, 0400).close();
    need(mode_of("written") == 0400, "a file that is made to be written and may only be read");
    const Fd file = open_file("all", O_RDONLY);
    done(::fchmod(file.get(), 0640), "fchmod");
    need(mode_of("all") == 0640, "fchmod");
}

void made_by_users(const std::string& directory) {
    done(::chmod(directory.c_str(), 0777), "chmod");
    as_user(kUser, kGroup, [] {
        write_file("file", "mine");
        done(::mkdir("directory", 0755), "mkdir");
        done(::symlink("file", "link"), "symlink");
        done(::mkfifo("pipe", 0644), "mkfifo");
        write_file("directory/below", "mine");
        done(::chmod("file", 0600), "chmod of one's own");
    });
    for (const auto* name : {"file", "directory", "link", "pipe", "directory/below"}) {
        need_owner(name, kUser, kGroup);
    }
    need_owner(".", 0, 0);
    as_user(kOther, kOther, [] {
        refused(::open("file", O_RDONLY), EACCES, "reading another's file");
        refused(::open("directory/new", O_WRONLY | O_CREAT, 0644), EACCES, "a file in another's directory");
        refused(::chmod("directory", 0777), EPERM, "chmod of another's");
        refused(::chown("directory", kOther, kOther), EPERM, "chown of another's");
        refused(::access("file", R_OK), EACCES, "access");
        refused(::rmdir("directory"), ENOTEMPTY, "rmdir in everybody's directory");
    });
    need(read_file("file") == "mine", "root reads all");
}

void changed_owners(const std::string&) {
    write_file("file", "");
    done(::chmod("file", 06755), "chmod");
    done(::chown("file", kUser, kGroup), "chown");
    need_owner("file", kUser, kGroup);
    need(mode_of("file") == 0755, "chown leaves set-user-ID");
    done(::chown("file", static_cast<uid_t>(-1), kOther), "chown of the group");
    need_owner("file", kUser, kOther);
    done(::symlink("file", "link"), "symlink");
    done(::lchown("link", kOther, kGroup), "lchown");
    need_owner("link", kOther, kGroup);
    need_owner("file", kUser, kOther);
    as_user(kUser, kGroup, [] {
        refused(::chown("file", kOther, static_cast<gid_t>(-1)), EPERM, "giving a file away");
        done(::chown("file", static_cast<uid_t>(-1), kGroup), "chown to one's own group");
    });
    need_owner("file", kUser, kGroup);
    done(::chown("file", 0xfffffffe, 0xfffffffe), "chown to the highest");
    need_owner("file", 0xfffffffe, 0xfffffffe);
}

void setgid_directories(const std::string&) {
    done(::mkdir("shared", 0755), "mkdir");
    done(::chown("shared", 0, kOther), "chown");
    done(::chmod("shared", 02777), "chmod");
    as_user(kUser, kGroup, [] {
        write_file("shared/file", "");
        done(::mkdir("shared/directory", 0755), "mkdir");
        ::umask(0);
        open_file("shared/program", O_WRONLY | O_CREAT, 02777).close();
    });
    need_owner("shared/file", kUser, kOther);
    need_owner("shared/directory", kUser, kOther);
    need(mode_of("shared/directory") == 02755, "what is inherited");
    need((mode_of("shared/program") & 02000) == 0, "set-group-ID of a group that one is not of");
}

void sticky_directories(const std::string&) {
    done(::mkdir("sticky", 0755), "mkdir");
    done(::chmod("sticky", 01777), "chmod");
    as_user(kUser, kGroup, [] { write_file("sticky/file", "mine"); });
    as_user(kOther, kOther, [] {
        refused(::unlink("sticky/file"), EPERM, "unlink of another's");
        write_file("sticky/own", "");
        refused(::rename("sticky/own", "sticky/file"), EPERM, "rename over another's");
        done(::unlink("sticky/own"), "unlink of one's own");
    });
    as_user(kUser, kGroup, [] { done(::unlink("sticky/file"), "unlink of one's own"); });
}

void privileges_dropped(const std::string&) {
    const auto make = [](const char* name) {
        write_file(name, "program");
        done(::chown(name, kUser, kGroup), "chown");
        done(::chmod(name, 06777), "chmod");
    };
    make("written");
    make("cut");
    make("kept");
    as_user(kOther, kOther, [] {
        write_fd(open_file("written", O_WRONLY).get(), "x", 0);
        done(::truncate("cut", 1), "truncate");
    });
    need((mode_of("written") & 06000) == 0,
         "set-user-ID after a write: " + std::to_string(mode_of("written")));
    need((mode_of("cut") & 06000) == 0, "set-user-ID after truncate");
    write_fd(open_file("kept", O_WRONLY).get(), "x", 0);
    need((mode_of("kept") & 06000) == 06000, "set-user-ID after root's write");
}

}  // namespace

std::vector<Entry> owner_cases() {
    return {{"modes", modes},
            {"made_by_users", made_by_users},
            {"changed_owners", changed_owners},
            {"setgid_directories", setgid_directories},
            {"sticky_directories", sticky_directories},
            {"privileges_dropped", privileges_dropped}};
}

}  // namespace probe
