// SPDX-License-Identifier: Apache-2.0
// Files that the user names for output: streams, which grow while a guest runs, and reports, which are
// written once at the end. Neither is compared here with other named files: vmm/command does that, before it
// opens any.
//
// A name for a descriptor that mayfly was started with ("-", /dev/stderr, /dev/fd/N) is that descriptor, not
// its file opened once more: a socket works, and earlier output is neither truncated nor overwritten.
// Thread: the main thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

enum class StreamStart : unsigned char {
    Afresh,  ///< at the beginning, after start_afresh() has emptied the file
    Append,
};

/// A copy of a descriptor that mayfly was started with; ours, which are closed on exec, do not count. `name`
/// is its name in messages. Errors: Invalid, Os. Thread: any.
Result<UniqueFd> handed_descriptor(int number, const std::string& name);

/// Made where it is missing. Errors: Os and Invalid, with the name; also a FIFO that nobody reads, for which
/// this does not wait.
Result<UniqueFd> open_stream(const std::string& name, StreamStart start);

/// Empties an ordinary file. Errors: Os, with the name.
Result<void> start_afresh(const UniqueFd& stream, const std::string& name);

/// An ordinary file is written under another name and then renamed, so that it is whole or not there, with
/// the owner and mode of the one that it replaces; a link's target is. It is written in place where its
/// directory takes no new file or the rename is refused: another user's file in a sticky directory, a mount
/// point. Anything else is written to as it is.
class ReportFile {
  public:
    /// Checks whether it can be written, and changes nothing. Errors: as open_stream()'s, but a FIFO may get
    /// its reader later.
    static Result<ReportFile> open(const std::string& name);

    /// `should_give_up` is asked when a signal came, or a second has passed, while a reader let us wait: then
    /// it has stalled. Errors: Os and Host, with the name.
    Result<void> write(std::string_view text, const std::function<bool()>& should_give_up) const;

  private:
    /// The attributes kept from the replaced file.
    struct Replaced {
        mode_t mode;
        uid_t owner;
        gid_t group;
    };

    struct TemporaryFile {
        std::string name;
        UniqueFd fd;
    };

    ReportFile() = default;

    Result<void> check_directory();
    [[nodiscard]] TemporaryFile make_temporary() const;
    [[nodiscard]] Result<bool> unless_refused(const char* operation) const;
    [[nodiscard]] Result<bool> replace(std::string_view text) const;
    [[nodiscard]] Result<void> write_in_place(std::string_view text,
                                              const std::function<bool()>& should_give_up) const;

    std::string name_;  // as given
    UniqueFd fd_;       // of anything but a regular file
    // Of an ordinary file, or a FIFO without a reader.
    UniqueFd directory_;
    std::string base_;
    bool takes_new_file_ = false;
    std::optional<Replaced> replaced_;
};

}  // namespace mayfly
