// SPDX-License-Identifier: Apache-2.0
// The common part of share_probe's cases: a directory of their own, and how they report errors. A test
// program, with exceptions. Single thread; a case may fork.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

namespace probe {

/// A finding, with errno's name.
struct Failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The kernel or the file system has no such thing: EOPNOTSUPP, ENOSYS, ENOTTY.
struct Unsupported : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Throws a Failure unless `is_so`, with errno at this moment.
void need(bool is_so, std::string_view what);
/// As need(result >= 0), or Unsupported when errno says so.
long done(long result, std::string_view what);
/// That a call failed, and by this errno.
void refused(long result, int error, std::string_view what);

class Fd {
  public:
    explicit Fd(int fd) : fd_(fd) {}
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    Fd(Fd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Fd& operator=(Fd&&) = delete;
    ~Fd() { close(); }
    int get() const { return fd_; }
    void close() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
        fd_ = -1;
    }

  private:
    int fd_;
};

/// Of bytes that tell their place.
std::string pattern(size_t size, unsigned seed = 1);

Fd open_file(const std::string& path, int flags, unsigned mode = 0644);
void write_file(const std::string& path, std::string_view content);
std::string read_file(const std::string& path);
std::string read_fd(int fd, size_t size, off_t at);
void write_fd(int fd, std::string_view content, off_t at);
struct stat stat_of(const std::string& path);
struct stat stat_of(int fd);
/// Without . and .., sorted.
std::vector<std::string> names_in(const std::string& directory);
bool exists(const std::string& path);

/// Runs `work` in a child with this user and group; what it throws is thrown here.
void as_user(unsigned uid, unsigned gid, const std::function<void()>& work);
/// In a child that is as its parent.
void in_child(const std::function<void()>& work);

/// A case gets an empty directory, which is the current one too.
using Case = void (*)(const std::string& directory);
struct Entry {
    const char* name;
    Case run;
};

std::vector<Entry> file_cases();
std::vector<Entry> space_cases();
std::vector<Entry> name_cases();
std::vector<Entry> node_cases();
std::vector<Entry> owner_cases();
std::vector<Entry> attribute_cases();
std::vector<Entry> lock_cases();

}  // namespace probe
