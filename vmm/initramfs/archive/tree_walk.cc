// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/archive/tree_walk.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/error/ints.h"
#include "vmm/initramfs/archive/archive.h"

namespace mayfly {

namespace {

constexpr std::size_t kListingBytes = KiB(32);
constexpr const char* kUnreadableHint =
    "make it readable, take it out of the tree, or run mayfly as its owner";

/// The names of a directory: one block of NUL-ended strings, because there may be 100,000.
struct Names {
    std::vector<char> text{};
    std::vector<u32> starts{};

    [[nodiscard]] const char* at(std::size_t index) const { return text.data() + starts[index]; }
};

/// A directory on the way down to where the walk is.
struct Level {
    Names names;
    std::size_t next;
    std::size_t path_bytes;  ///< of its own path
    dev_t device;
    ino_t inode;
};

Result<Names> read_names(const UniqueFd& directory, StopToken stop) {
    Names names;
    // SAFETY: alignas makes the kernel's records, and dirent64's fields, aligned.
    alignas(dirent64) char listing[kListingBytes];
    for (;;) {
        TRY_VOID(stop.check());
        const ssize_t got = ::getdents64(directory.get(), listing, sizeof(listing));
        if (got < 0) return fail(Error::os("read"));
        if (got == 0) break;
        for (ssize_t at = 0; at < got;) {
            const auto* record = reinterpret_cast<const dirent64*>(listing + at);
            at += record->d_reclen;
            const char* name = record->d_name;
            if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
            names.starts.push_back(static_cast<u32>(names.text.size()));
            names.text.insert(names.text.end(), name, name + std::strlen(name) + 1);
        }
    }
    std::sort(names.starts.begin(), names.starts.end(),
              [&](u32 a, u32 b) { return std::strcmp(names.text.data() + a, names.text.data() + b) < 0; });
    return names;
}

class Walk {
  public:
    Walk(std::string_view label, StopToken stop, const VisitEntry& visit)
        : label_(label), stop_(stop), visit_(visit) {}

    Result<void> run(const UniqueFd& root) {
        // Another description of the directory: a listing has a position in it.
        TRY_VOID(enter(root, "."));
        root_device_ = levels_.back().device;
        while (!levels_.empty()) {
            TRY_VOID(stop_.check());
            Level& level = levels_.back();
            if (level.next < level.names.starts.size()) {
                path_.resize(level.path_bytes);
                if (!path_.empty()) path_ += '/';
                const char* name = level.names.at(level.next++);
                path_ += name;
                Result<void> step = visit(name);
                if (!step) return step;
            } else {
                TRY_VOID(leave());
            }
        }
        return {};
    }

  private:
    [[nodiscard]] Unexpected failed(const char* operation) const {
        return unreadable(operation, label_, path_);
    }

    Result<void> enter(const UniqueFd& parent, const char* name) {
        UniqueFd directory = UniqueFd::adopt(
            ::openat(parent.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
        struct stat status {};
        if (!directory.valid()) return failed("open");
        if (::fstat(directory.get(), &status) != 0) return failed("fstat");
        Result<Names> names = read_names(directory, stop_);
        TRY_VOID(stop_.check());
        if (!names) return failed("read");
        levels_.push_back({std::move(*names), 0, path_.size(), status.st_dev, status.st_ino});
        directory_ = std::move(directory);
        return {};
    }

    Result<void> leave() {
        levels_.pop_back();
        if (levels_.empty()) return {};
        path_.resize(levels_.back().path_bytes);
        // O_PATH: a directory that may be searched need not be readable to come back to it.
        UniqueFd parent = UniqueFd::adopt(::openat(directory_.get(), "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
        struct stat status {};
        if (!parent.valid() || ::fstat(parent.get(), &status) != 0) return failed("open");
        if (status.st_dev != levels_.back().device || status.st_ino != levels_.back().inode)
            return refuse("{}/{}: a directory in it was moved while the tree was packed", label_,
                          printable(path_));
        directory_ = std::move(parent);
        return {};
    }

    Result<void> visit(const char* name) {
        struct stat status {};
        if (::fstatat(directory_.get(), name, &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("stat");
        const bool is_directory = S_ISDIR(status.st_mode);
        const bool is_elsewhere = is_directory && status.st_dev != root_device_;
        TRY_VOID(visit_(TreeEntry{directory_, name, path_, status, is_elsewhere}));
        if (!is_directory || is_elsewhere) return {};
        return enter(directory_, name);
    }

    std::string_view label_;
    StopToken stop_;
    const VisitEntry& visit_;
    std::vector<Level> levels_{};
    std::string path_{};
    UniqueFd directory_{};
    dev_t root_device_ = 0;
};

}  // namespace

Unexpected unreadable(std::string_view operation, std::string_view label, std::string_view path) {
    const int error = errno;
    const std::string name = fmt::format("{}{}{}", label, path.empty() ? "" : "/", printable(path));
    Error problem = Error::os(operation, error).about(name);
    if (error == EACCES || error == EPERM) problem = std::move(problem).hint(kUnreadableHint);
    return fail(std::move(problem));
}

Result<void> walk_tree(const UniqueFd& root, std::string_view label, StopToken stop,
                       const VisitEntry& visit) {
    return Walk(label, stop, visit).run(root);
}

}  // namespace mayfly
