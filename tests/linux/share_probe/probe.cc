// SPDX-License-Identifier: Apache-2.0
// The code that cases share: see probe.h.
#include "probe.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <grp.h>

#include <fcntl.h>
#include <sys/wait.h>

namespace probe {

namespace {

constexpr char kFailed = 'F';
constexpr char kUnsupported = 'U';

std::string with_errno(std::string_view what, int error) {
    const char* name = error == 0 ? "0" : ::strerrorname_np(error);
    return std::string(what) + " (errno " + (name == nullptr ? std::to_string(error) : name) + ")";
}

/// The child's part: what was thrown goes through the pipe.
[[noreturn]] void run_child(int out, const std::function<void()>& work) {
    std::string said;
    try {
        work();
    } catch (const Unsupported& unsupported) {
        said = kUnsupported + std::string(unsupported.what());
    } catch (const std::exception& failure) {
        said = kFailed + std::string(failure.what());
    }
    (void)!::write(out, said.data(), said.size());
    ::_exit(said.empty() ? 0 : 1);
}

}  // namespace

void need(bool is_so, std::string_view what) {
    if (!is_so) {
        throw Failure(with_errno(what, errno));
    }
}

long done(long result, std::string_view what) {
    if (result < 0 && (errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOTTY)) {
        throw Unsupported(with_errno(what, errno));
    }
    need(result >= 0, what);
    return result;
}

void refused(long result, int error, std::string_view what) {
    if (result >= 0) {
        throw Failure(std::string(what) + " is not refused");
    }
    need(errno == error, std::string(what) + ", expected " + ::strerrorname_np(error));
}

std::string pattern(size_t size, unsigned seed) {
    std::string bytes(size, '\0');
    unsigned state = seed * 2654435761U + 1;
    for (char& byte : bytes) {
        state = state * 1664525U + 1013904223U;
        byte = static_cast<char>(state >> 24U);
    }
    return bytes;
}

Fd open_file(const std::string& path, int flags, unsigned mode) {
    return Fd(static_cast<int>(done(::open(path.c_str(), flags | O_CLOEXEC, mode), "open " + path)));
}

void write_fd(int fd, std::string_view content, off_t at) {
    while (!content.empty()) {
        const auto count =
            static_cast<size_t>(done(::pwrite(fd, content.data(), content.size(), at), "pwrite"));
        content.remove_prefix(count);
        at += static_cast<off_t>(count);
    }
}

std::string read_fd(int fd, size_t size, off_t at) {
    std::string content(size, '\0');
    size_t have = 0;
    while (have < size) {
        const auto place = at + static_cast<off_t>(have);
        const auto count =
            static_cast<size_t>(done(::pread(fd, content.data() + have, size - have, place), "pread"));
        if (count == 0) {
            break;
        }
        have += count;
    }
    content.resize(have);
    return content;
}

void write_file(const std::string& path, std::string_view content) {
    Fd file = open_file(path, O_WRONLY | O_CREAT | O_TRUNC);
    write_fd(file.get(), content, 0);
}

std::string read_file(const std::string& path) {
    const Fd file = open_file(path, O_RDONLY);
    std::string all;
    while (true) {
        const std::string more = read_fd(file.get(), 1U << 20U, static_cast<off_t>(all.size()));
        if (more.empty()) {
            return all;
        }
        all += more;
    }
}

struct stat stat_of(const std::string& path) {
    struct stat about {};
    done(::lstat(path.c_str(), &about), "lstat " + path);
    return about;
}

struct stat stat_of(int fd) {
    struct stat about {};
    done(::fstat(fd, &about), "fstat");
    return about;
}

std::vector<std::string> names_in(const std::string& directory) {
    DIR* stream = ::opendir(directory.c_str());
    need(stream != nullptr, "opendir " + directory);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") {
            names.push_back(name);
        }
    }
    ::closedir(stream);
    std::sort(names.begin(), names.end());
    return names;
}

bool exists(const std::string& path) {
    struct stat about {};
    return ::lstat(path.c_str(), &about) == 0;
}

void in_child(const std::function<void()>& work) {
    int ends[2];
    done(::pipe2(ends, O_CLOEXEC), "pipe2");
    const pid_t child = ::fork();
    need(child >= 0, "fork");
    if (child == 0) {
        ::close(ends[0]);
        run_child(ends[1], work);
    }
    ::close(ends[1]);
    std::string said;
    char buffer[4096];
    ssize_t count = 0;
    while ((count = ::read(ends[0], buffer, sizeof buffer)) > 0) {
        said.append(buffer, static_cast<size_t>(count));
    }
    ::close(ends[0]);
    int status = 0;
    need(::waitpid(child, &status, 0) == child, "waitpid");
    if (!said.empty()) {
        if (said[0] == kUnsupported) {
            throw Unsupported(said.substr(1));
        }
        throw Failure(said.substr(1));
    }
    if (status != 0) {
        throw Failure("a child has ended with status " + std::to_string(status));
    }
}

void as_user(unsigned uid, unsigned gid, const std::function<void()>& work) {
    in_child([&] {
        done(::setgroups(0, nullptr), "setgroups");
        done(::setresgid(gid, gid, gid), "setresgid");
        done(::setresuid(uid, uid, uid), "setresuid");
        work();
    });
}

}  // namespace probe
