// SPDX-License-Identifier: Apache-2.0
// FileReceiver: files of a guest, on the host, each under the name that the user gave it.
//
// It trusts no name: below what the user named, no symbolic link is followed, no link is made that leads out
// of it, and what is in the way is replaced, not written through. Files get the guest's permissions, less
// set-user-ID and what the umask takes away, and its times; their owner is who runs mayfly. What goes wrong
// is said on stderr. Thread: one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/initramfs/copy_names.h"
#include "vmm/machine/copy_out/record_reader.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class FileReceiver final : public FileSink {
  public:
    /// Looks whether there is a place for each. A wait that a signal ends is given up once `must_hurry`.
    /// Errors: Invalid, Os: of one that cannot be.
    static Result<std::unique_ptr<FileReceiver>> open(const std::vector<CopyOut>& copies,
                                                      std::function<bool()> must_hurry);

    /// Errors of all: what the host cannot do.
    Result<void> on_directory(const FileName& name, u32 mode) override;
    Result<void> on_file(const FileName& name, u32 mode) override;
    Result<void> on_data(u64 at, std::span<const std::byte> bytes) override;
    Result<void> on_file_end(u64 size_bytes, i64 mtime) override;
    Result<void> on_link(const FileName& name, const std::string& target) override;
    Result<void> on_left_out(const FileName& name, u32 mode) override;
    Result<void> on_problem(const FileName& name, int error) override;

    /// Something is not there, and that was said.
    [[nodiscard]] bool has_failed() const { return has_failed_; }

  private:
    struct Copy {
        std::string guest;     ///< for messages
        UniqueFd parent;       ///< the directory that has it, or will
        std::string name;      ///< in there
        std::string host;      ///< the path to it, for messages
        UniqueFd stream{};     ///< instead of both, of ours: "-" or /dev/stdout
        UniqueFd directory{};  ///< itself, once it is known to be one
    };
    /// A directory of the host and a name in it.
    struct Place {
        int directory = -1;
        std::string name{};
    };

    FileReceiver(std::vector<Copy> copies, std::function<bool()> must_hurry)
        : copies_(std::move(copies)), must_hurry_(std::move(must_hurry)) {}

    /// Errors: Os, where its directory is not what it was said to be.
    Result<Place> place_of(const FileName& name);
    Result<void> make_way(const FileName& name, const Place& place);
    Result<void> open_top(Copy& copy, u32 mode);
    Result<void> write_on(std::span<const std::byte> bytes);
    [[nodiscard]] Unexpected failed(const FileName& name, std::string_view operation) const;
    enum class Level : u8 { Warning, Error };
    void tell(Level level, const FileName& name, std::string_view what);

    std::vector<Copy> copies_;
    const std::function<bool()> must_hurry_;
    bool has_failed_ = false;
    u32 lines_ = 0;
    // The directory in which the last name was.
    FileName directory_name_{};
    UniqueFd directory_{};
    // The file that is being written.
    FileName file_name_{};
    UniqueFd file_{};
    bool is_seekable_ = false;
    u64 position_ = 0;
};

/// Whether a symbolic link at `path`, below a directory, stays below it whatever else is there: "..", only
/// at its beginning, climbs no higher than that.
[[nodiscard]] bool stays_inside(std::string_view path, std::string_view target);

}  // namespace mayfly
