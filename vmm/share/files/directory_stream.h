// SPDX-License-Identifier: Apache-2.0
// DirectoryStream: the entries of an open directory, some of them read ahead. Thread: one.
#pragma once

#include <array>
#include <memory>

#include "vmm/error/ints.h"

namespace mayfly {

struct DirectoryEntry {
    u64 inode = 0;
    u64 next_offset = 0;  ///< of the entry behind it
    u32 type = 0;         ///< DT_REG and so on
    const char* name = nullptr;
};

class DirectoryStream {
  public:
    enum class Step : u8 { Entry, End, Failed };
    struct Next {
        Step step = Step::End;
        int error = 0;  ///< of Failed: -errno
        DirectoryEntry entry{};
    };
    /// The entry at an offset: 0, or the next_offset of an earlier entry.
    [[nodiscard]] Next at(int fd, u64 offset);
    /// The current entry was given to the guest: moves to the next.
    void pass(const DirectoryEntry& entry);

  private:
    [[nodiscard]] int fill(int fd);

    static constexpr std::size_t kBufferBytes = std::size_t{8} << 10U;
    std::unique_ptr<std::array<char, kBufferBytes>> buffer_;  // while it holds entries
    std::size_t begin_ = 0;
    std::size_t record_bytes_ = 0;  // of the entry at begin_
    std::size_t end_ = 0;
    u64 offset_ = 0;  // of the entry at begin_
};

}  // namespace mayfly
