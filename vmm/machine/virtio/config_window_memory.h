// SPDX-License-Identifier: Apache-2.0
// ConfigWindowMemory: the host memory behind the PCI configuration that a guest reads without exits.
//
// Absent functions read as all ones: their pages are one file of ones, mapped again and again, so that
// neither this process nor the guest pays for 2 MiB of them.
// Thread: built by the main thread; the memory then belongs to PciBus.
#pragma once

#include <span>

#include "vmm/error/result.h"
#include "vmm/os/mapping.h"

namespace mayfly {

class ConfigWindowMemory {
  public:
    /// `is_for_guest`: the guest will read it as memory; otherwise only trapped accesses do, which know the
    /// absent functions. Errors: Os.
    static Result<ConfigWindowMemory> create(bool is_for_guest);

    [[nodiscard]] std::span<std::byte> bytes() const { return mapping_.bytes(); }

  private:
    explicit ConfigWindowMemory(Mapping mapping) : mapping_(std::move(mapping)) {}

    Mapping mapping_;
};

}  // namespace mayfly
