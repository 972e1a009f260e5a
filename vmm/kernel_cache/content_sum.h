// SPDX-License-Identifier: Apache-2.0
// A 64-bit sum that notices accidents: lost, stale or misplaced blocks of a file. Not a defence against
// forgers, whom the cache's directory keeps away, and not a format of anybody else's.
// Thread: any.
#pragma once

#include <cstddef>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

/// Continues `sum`, which starts at 0. Bytes summed in two pieces have a different sum than in one.
[[nodiscard]] u64 content_sum(u64 sum, std::span<const std::byte> bytes);

}  // namespace mayfly
