// SPDX-License-Identifier: Apache-2.0
// Locks, between the processes of one guest.
#include <cerrno>

#include <fcntl.h>
#include <sys/file.h>

#include "probe.h"

namespace probe {
namespace {

void whole_files(const std::string&) {
    write_file("file", "x");
    const Fd mine = open_file("file", O_RDWR);
    done(::flock(mine.get(), LOCK_EX), "flock");
    in_child([] {
        const Fd other = open_file("file", O_RDONLY);
        refused(::flock(other.get(), LOCK_SH | LOCK_NB), EWOULDBLOCK, "a second lock");
    });
    done(::flock(mine.get(), LOCK_SH), "flock");
    in_child([] {
        const Fd other = open_file("file", O_RDONLY);
        done(::flock(other.get(), LOCK_SH | LOCK_NB), "a second reader");
        refused(::flock(other.get(), LOCK_EX | LOCK_NB), EWOULDBLOCK, "a writer beside a reader");
    });
    done(::flock(mine.get(), LOCK_UN), "flock");
    in_child(
        [] { done(::flock(open_file("file", O_RDONLY).get(), LOCK_EX | LOCK_NB), "what is free again"); });
    {
        const Fd closed = open_file("file", O_RDWR);
        done(::flock(closed.get(), LOCK_EX), "flock");
    }
    in_child([] { done(::flock(open_file("file", O_RDONLY).get(), LOCK_EX | LOCK_NB), "what was closed"); });
}

struct flock range(short type, off_t start, off_t length) {
    struct flock lock {};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    lock.l_start = start;
    lock.l_len = length;
    return lock;
}

void ranges(const std::string&) {
    write_file("file", pattern(1000));
    const Fd mine = open_file("file", O_RDWR);
    struct flock lock = range(F_WRLCK, 100, 100);
    done(::fcntl(mine.get(), F_SETLK, &lock), "F_SETLK");
    const pid_t owner = ::getpid();
    in_child([&] {
        const Fd other = open_file("file", O_RDWR);
        struct flock wanted = range(F_RDLCK, 150, 10);
        refused(::fcntl(other.get(), F_SETLK, &wanted), EAGAIN, "what another has");
        done(::fcntl(other.get(), F_GETLK, &wanted), "F_GETLK");
        need(wanted.l_type == F_WRLCK && wanted.l_start == 100 && wanted.l_len == 100, "what F_GETLK says");
        need(wanted.l_pid == owner, "who has it");
        struct flock free = range(F_WRLCK, 200, 0);
        done(::fcntl(other.get(), F_SETLK, &free), "what is free");
    });
    struct flock half = range(F_UNLCK, 100, 50);
    done(::fcntl(mine.get(), F_SETLK, &half), "half of it");
    in_child([] {
        const Fd other = open_file("file", O_RDWR);
        struct flock free = range(F_WRLCK, 100, 50);
        done(::fcntl(other.get(), F_SETLK, &free), "the half that is free");
        struct flock taken = range(F_WRLCK, 140, 20);
        refused(::fcntl(other.get(), F_SETLK, &taken), EAGAIN, "across the halves");
    });
    // Locks of an open file are not the process's.
    const Fd description = open_file("file", O_RDWR);
    struct flock open_lock = range(F_WRLCK, 500, 10);
    done(::fcntl(description.get(), F_OFD_SETLK, &open_lock), "F_OFD_SETLK");
    struct flock same = range(F_WRLCK, 500, 10);
    refused(::fcntl(mine.get(), F_OFD_SETLK, &same), EAGAIN, "another open file's lock");
}

}  // namespace

std::vector<Entry> lock_cases() { return {{"whole_files", whole_files}, {"ranges", ranges}}; }

}  // namespace probe
