// SPDX-License-Identifier: Apache-2.0
// FileReceiver: files of a guest, on the host, each under the name that the user gave it.
//
// It trusts no name: below what the user named, no symbolic link is followed, no link is made that leads out
// of it, and what is in the way is replaced, not written through. A file is whole or not there. Files get the
// guest's permissions, less set-user-ID and what the umask takes away, and its times; their owner is who runs
// mayfly. What goes wrong is said on stderr, and ends what it happened to alone: one of the things that were
// asked for. Thread: one at a time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "vmm/initramfs/copy_names.h"
#include "vmm/machine/copy_out/copy_place.h"
#include "vmm/machine/copy_out/new_file.h"
#include "vmm/machine/copy_out/record_reader.h"

namespace mayfly {

class FileReceiver final : public FileSink {
  public:
    /// Looks whether there is a place for each. Nothing is written any more once `should_give_up`. Errors:
    /// Invalid, Os: of one that cannot be.
    static Result<std::unique_ptr<FileReceiver>> open(const std::vector<CopyOut>& copies,
                                                      std::function<bool()> should_give_up);

    void on_directory(const FileName& name, u32 mode) override;
    void on_file(const FileName& name, u32 mode) override;
    void on_data(u64 at, std::span<const std::byte> bytes) override;
    void on_file_end(u64 size_bytes, timespec mtime) override;
    void on_link(const FileName& name, const std::string& target) override;
    void on_left_out(const FileName& name, u32 mode) override;
    void on_problem(const FileName& name, int error) override;

    /// Something is not there, and that was said.
    [[nodiscard]] bool has_failed() const { return has_failed_; }
    /// False: whatever comes, nothing becomes of it.
    [[nodiscard]] bool wants_more() const;

  private:
    struct Copy {
        std::string guest;  ///< for messages
        CopyPlace place;
        UniqueFd directory{};  ///< itself, once it is known to be one
        bool is_given_up = false;
    };
    /// A directory of the host and a name in it.
    struct Place {
        int directory = -1;
        std::string name{};
    };

    FileReceiver(std::vector<Copy> copies, std::function<bool()> should_give_up)
        : copies_(std::move(copies)), should_give_up_(std::move(should_give_up)) {}

    /// Errors of all: Os, Invalid, without a name.
    Result<Place> place_of(const FileName& name);
    Result<void> make_directory(const FileName& name, u32 permissions);
    Result<void> make_top(Copy& copy, u32 permissions);
    /// It is a directory.
    static Result<void> open_top(Copy& copy);
    Result<void> begin_file(const FileName& name, u32 permissions);
    Result<void> make_link(const FileName& name, const std::string& target);
    /// Where that has failed, no more of the same copy is made.
    void conclude(const FileName& name, Result<void> result);
    [[nodiscard]] bool is_given_up(const FileName& name) const { return copies_[name.copy].is_given_up; }
    [[nodiscard]] std::string guest_path(const FileName& name) const;
    void tell_failure(const std::string& line);
    void tell_left_out(const FileName& name, const std::string& why);

    std::vector<Copy> copies_;
    const std::function<bool()> should_give_up_;
    bool has_failed_ = false;
    // Lines on stderr, of which so many are shown: a guest has no end.
    u32 failures_printed_ = 0;
    u32 left_out_printed_ = 0;
    // The directory in which the last name was.
    FileName directory_name_{};
    UniqueFd directory_{};
    // The file that is being written.
    FileName file_name_{};
    NewFile file_{};
};

/// Whether a symbolic link at `path`, below a directory, stays below it whatever else a guest makes there:
/// "..", only at its beginning, climbs no higher than that.
[[nodiscard]] bool stays_inside(std::string_view path, std::string_view target);

}  // namespace mayfly
