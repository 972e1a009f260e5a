// SPDX-License-Identifier: Apache-2.0
// FileReceiver: files of a guest, on the host, each under the name that the user gave it.
//
// It trusts no name: below what the user named, no symbolic link is followed, no link is made that leads out
// of it, and an existing file is replaced, not written through. A file is whole or absent. Files get the
// guest's permissions, without set-user-ID and the umask's bits, and its times; their owner is the user who
// runs mayfly. An error is printed on stderr, and ends only the copy that it happened in. Thread: one at a
// time.
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
    /// Checks that each has a place. Nothing is written any more once `should_give_up`. Errors: Invalid, Os:
    /// of a place that cannot be.
    static Result<std::unique_ptr<FileReceiver>> open(const std::vector<CopyOut>& copies,
                                                      std::function<bool()> should_give_up);

    void on_directory(const FileName& name, u32 mode) override;
    void on_file(const FileName& name, u32 mode) override;
    void on_data(u64 at, std::span<const std::byte> bytes) override;
    void on_file_end(u64 size_bytes, timespec mtime) override;
    void on_link(const FileName& name, const std::string& target) override;
    void on_left_out(const FileName& name, u32 mode) override;
    void on_problem(const FileName& name, int error) override;

    /// A copy is incomplete, and the user was told.
    [[nodiscard]] bool has_failed() const { return has_failed_; }
    /// False: the copy was given up, and its further records are ignored.
    [[nodiscard]] bool wants_more() const;

  private:
    struct Copy {
        std::string guest;  ///< for messages
        CopyPlace place;
        UniqueFd directory{};  ///< the copied directory, once it is known to be one
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
    /// The copy is a directory.
    static Result<void> open_top(Copy& copy);
    Result<void> begin_file(const FileName& name, u32 permissions);
    Result<void> make_link(const FileName& name, const std::string& target);
    /// Where that failed, the rest of the copy is given up.
    void conclude(const FileName& name, Result<void> result);
    [[nodiscard]] bool is_given_up(const FileName& name) const { return copies_[name.copy].is_given_up; }
    [[nodiscard]] std::string guest_path(const FileName& name) const;
    void tell_failure(const std::string& line);
    void tell_left_out(const FileName& name, const std::string& why);

    std::vector<Copy> copies_;
    const std::function<bool()> should_give_up_;
    bool has_failed_ = false;
    // Lines on stderr, of which only so many are shown: a guest may cause any number.
    u32 failures_printed_ = 0;
    u32 left_out_printed_ = 0;
    // The directory of the previous name.
    FileName directory_name_{};
    UniqueFd directory_{};
    // The file that is being written.
    FileName file_name_{};
    NewFile file_{};
};

/// Whether a symbolic link at `path`, below a directory, stays below it whatever else a guest makes there:
/// ".." may come only at its beginning, and climbs at most to the directory.
[[nodiscard]] bool stays_inside(std::string_view path, std::string_view target);

}  // namespace mayfly
