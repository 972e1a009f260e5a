// SPDX-License-Identifier: Apache-2.0
// A 64-bit sum that notices accidents: lost, stale or misplaced blocks of a file. It is no defence against a
// forger, who is kept away by the cache's directory, and it is nobody's format but ours.
// Thread: any.
#pragma once

#include <cstddef>
#include <span>

#include "vmm/error/ints.h"

namespace mayfly {

/// Continues `sum`, which starts at 0. What is summed in two pieces has another sum than in one.
[[nodiscard]] u64 content_sum(u64 sum, std::span<const std::byte> bytes);

}  // namespace mayfly
