// SPDX-License-Identifier: Apache-2.0
// NewFile: a file of the host that is whole or absent. It is written under a temporary name in the same
// directory, and then replaces the file of its name, which is never written through; a stream gets the bytes
// as they come.
//
// Thread: one at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <time.h>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class NewFile {
  public:
    NewFile() = default;
    NewFile(const NewFile&) = delete;
    NewFile& operator=(const NewFile&) = delete;
    ~NewFile() { give_up(); }

    /// `should_give_up` is asked before each write: once it returns true, nothing more is written. It
    /// outlives this object. Errors of all: Os, Stopped.
    Result<void> begin(int directory, const std::string& name, u32 permissions,
                       const std::function<bool()>& should_give_up);
    /// Bytes in order; holes become zeros.
    Result<void> begin(UniqueFd stream, const std::function<bool()>& should_give_up);
    [[nodiscard]] bool is_open() const { return fd_.valid(); }
    /// `at` is not before the end of the previous bytes.
    Result<void> write(u64 at, std::span<const std::byte> bytes);
    /// Gives the file its name.
    Result<void> finish(u64 size_bytes, timespec mtime);
    /// Removes the file; bytes written to a stream stay.
    void give_up();

  private:
    Result<void> write_on(std::span<const std::byte> bytes);

    UniqueFd fd_{};
    int directory_ = -1;
    std::string name_{};
    std::string temporary_name_{};  // empty: a stream
    const std::function<bool()>* should_give_up_ = nullptr;
    u64 position_ = 0;
};

}  // namespace mayfly
