// SPDX-License-Identifier: Apache-2.0
// Writing all of some bytes, which write(2) may do in parts.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <span>

#include "vmm/error/result.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

/// Errors: Os.
Result<void> write_whole(const UniqueFd& file, std::span<const std::byte> bytes, u64 offset_bytes);

}  // namespace mayfly
