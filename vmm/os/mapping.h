// SPDX-License-Identifier: Apache-2.0
// Mapping: sole owner of an mmap'ed range. Movable, unmaps at destruction.
#pragma once

#include <cstddef>
#include <span>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

class Mapping {
  public:
    Mapping() = default;

    /// Private zero pages, not reserved and not touched. `alignment_bytes` is a power of two of at
    /// least a page. Errors: ENOMEM where the address space or the overcommit limit is too small.
    static Result<Mapping> anonymous(std::size_t size_bytes, std::size_t alignment_bytes = 4096);

    /// The whole range of a file, private, readable and writable (copy on write).
    /// `offset_bytes` is a multiple of the page size.
    static Result<Mapping> file_private(const UniqueFd& fd, u64 offset_bytes, std::size_t size_bytes);

    /// Shared, readable and writable: for memory that the kernel shares with us (kvm_run).
    static Result<Mapping> shared(const UniqueFd& fd, std::size_t size_bytes);

    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }
    [[nodiscard]] std::span<std::byte> bytes() const { return {data_, size_bytes_}; }

    /// Gives up ownership: the caller has moved the pages elsewhere or unmapped them.
    void forget_all() {
        data_ = nullptr;
        size_bytes_ = 0;
    }

  private:
    Mapping(std::byte* data, std::size_t size_bytes) : data_(data), size_bytes_(size_bytes) {}

    std::byte* data_ = nullptr;
    std::size_t size_bytes_ = 0;
};

}  // namespace mayfly
