// SPDX-License-Identifier: Apache-2.0
// How often this process has called operator new, for tests of code that may not allocate. Link
// allocation_count.cc, into an executable of its own: sanitizers replace operator new too.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

[[nodiscard]] u64 allocations_so_far();

}  // namespace mayfly
