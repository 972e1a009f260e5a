// SPDX-License-Identifier: Apache-2.0
// A snapshot's directory: the files `state` and `memory`. It comes to be whole or not at all.
//
// Thread: one owner.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"
#include "vmm/snapshot/format/state_file.h"

namespace mayfly {

/// Writes NAME.tmp.PID, which finish() renames to NAME. What an ended process has left of such names beside
/// it is removed.
class SnapshotWriter {
  public:
    /// Whether create() may succeed. Errors: as create()'s.
    static Result<void> check(const std::string& name);
    /// Errors: Invalid where NAME exists; Os with a path.
    static Result<SnapshotWriter> create(const std::string& name);
    SnapshotWriter(SnapshotWriter&& other) noexcept;
    SnapshotWriter& operator=(SnapshotWriter&&) = delete;
    SnapshotWriter(const SnapshotWriter&) = delete;
    SnapshotWriter& operator=(const SnapshotWriter&) = delete;
    /// Removes what is not finished.
    ~SnapshotWriter();

    /// Empty, to be written.
    [[nodiscard]] const UniqueFd& memory() const { return memory_; }
    /// Both files are on the disk and read-only when the directory gets its name. Errors: Os with a path;
    /// Invalid where somebody else has taken the name.
    Result<void> finish(std::span<const std::byte> state);

  private:
    SnapshotWriter() = default;
    Result<UniqueFd> new_file(const char* name) const;
    Result<void> settle(const UniqueFd& file, const char* name) const;

    std::string name_;       ///< as the user gave it
    std::string last_;       ///< its last part
    std::string temporary_;  ///< in place of that; empty: nothing is to be removed
    UniqueFd parent_;
    UniqueFd directory_;
    UniqueFd memory_;
};

struct SnapshotFiles {
    std::vector<std::byte> state;
    std::vector<SectionView> sections;  ///< of `state`
    UniqueFd memory;
};

/// Reads `state` once. Warns where others than its owner may write. Errors: Invalid for a directory that does
/// not exist, or is not a whole snapshot; Os. All with the path.
Result<SnapshotFiles> open_snapshot(const std::string& name);

}  // namespace mayfly
