// SPDX-License-Identifier: Apache-2.0
// NamedFiles: every file that a command line names, as what is read and what is written. It finds two names
// of one file of which one is written, before anything is opened.
//
// Thread: the main thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/os/file_identity.h"

namespace mayfly {

class NamedFiles {
  public:
    /// `option` is how messages call it: "--initrd", "KERNEL". A missing file does not clash, unless two
    /// names would make it.
    void add_input(std::string option, std::string name) {
        // For what is read, "-" is a name like any other.
        add(Use::Read, std::move(option), name == "-" ? "./-" : std::move(name));
    }
    void add_output(std::string option, std::string name) {
        add(Use::Written, std::move(option), std::move(name));
    }
    /// Files that are packed before the guest runs: an output written meanwhile would destroy them.
    void add_copied(std::string option, std::string name) {
        add(Use::Copied, std::move(option), std::move(name));
    }
    /// An output that takes its name when the guest has ended: what was packed has been read by then.
    void add_late_output(std::string option, std::string name) {
        add(Use::Later, std::move(option), std::move(name));
    }
    /// A directory whose files are packed; `is_modules`: only a kernel's modules and their lists are. It is
    /// found where an output is in there already, under the name given.
    void add_tree(std::string option, std::string directory, bool is_modules);
    /// A standard descriptor that is in use. Naming the descriptor, as by "-", does not clash; naming its
    /// file does.
    void add_standard(int number);
    /// stdout carries what nothing else may be mixed with; `why` completes "stdout is" and `hint` says what
    /// frees it.
    void reserve_stdout(std::string_view why, std::string_view hint);

    /// Errors: Invalid, with both options and names, where an output of `option` is another's file.
    [[nodiscard]] Result<void> check(std::string_view option) const;
    /// The same for all outputs.
    [[nodiscard]] Result<void> check_all() const;
    /// Existing files that would be changed: for packers, which find them in trees by other names too.
    [[nodiscard]] OutputFiles outputs() const;

  private:
    enum class Use : unsigned char { Read, Copied, Written, Later, Standard, Tree, Modules };
    struct Entry {
        Use use;
        std::string option;
        std::string name;
        std::optional<int> descriptor;
        std::optional<FileIdentity> identity;
    };

    void add(Use use, std::string option, std::string name);
    [[nodiscard]] Result<void> check_entry(const Entry& output) const;
    [[nodiscard]] static bool is_packed(const Entry& output, const Entry& tree);
    [[nodiscard]] static bool is_clash(const Entry& output, const Entry& other);

    std::vector<Entry> entries_;
    std::string stdout_is_;
    std::string stdout_hint_;
};

}  // namespace mayfly
