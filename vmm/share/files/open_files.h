// SPDX-License-Identifier: Apache-2.0
// OpenFiles: what the guest has open, by the numbers it knows them by. Thread: one.
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
    bool can_refuse_to_wait = true;            ///< RWF_NOWAIT: not every file system can
    u32 generation = 0;                        ///< how many had this place before
};

class OpenFiles {
  public:
    explicit OpenFiles(u32 count_max) : count_max_(count_max) {}

    /// A file's, or with `is_directory` a directory's. Nothing: too many.
    [[nodiscard]] std::optional<u64> add(UniqueFd fd, bool is_directory);
    /// Null where there is none, or it is the other.
    [[nodiscard]] OpenFile* file(u64 handle);
    [[nodiscard]] OpenFile* directory(u64 handle);
    /// Whatever it is.
    [[nodiscard]] bool close(u64 handle);
    void clear();

  private:
    [[nodiscard]] OpenFile* find(u64 handle);

    const u32 count_max_;
    std::vector<OpenFile> files_;
    std::vector<u32> free_;
};

}  // namespace mayfly
