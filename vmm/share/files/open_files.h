// SPDX-License-Identifier: Apache-2.0
// OpenFiles: the guest's open files, by their handles. Thread: one.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "vmm/os/unique_fd.h"
#include "vmm/share/files/directory_stream.h"

namespace mayfly {

struct OpenFile {
    UniqueFd fd;
    std::unique_ptr<DirectoryStream> entries;  ///< of a directory
    bool can_refuse_to_wait = true;            ///< RWF_NOWAIT: some file systems lack it
    u32 generation = 0;                        ///< how many files had this place before
};

class OpenFiles {
  public:
    explicit OpenFiles(u32 count_max) : count_max_(count_max) {}

    /// A file's, or with `is_directory` a directory's. Nothing: too many.
    [[nodiscard]] std::optional<u64> add(UniqueFd fd, bool is_directory);
    /// Null where it does not exist, or is the other.
    [[nodiscard]] OpenFile* file(u64 handle);
    [[nodiscard]] OpenFile* directory(u64 handle);
    /// A file's or a directory's.
    [[nodiscard]] bool close(u64 handle);
    void clear();

  private:
    [[nodiscard]] OpenFile* find(u64 handle);

    const u32 count_max_;
    std::vector<OpenFile> files_;
    std::vector<u32> free_;
};

}  // namespace mayfly
