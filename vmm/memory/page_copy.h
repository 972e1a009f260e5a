// SPDX-License-Identifier: Apache-2.0
// Copying an image into untouched guest RAM, and pages of zeros.
#pragma once

#include <cstddef>

#include "vmm/error/ints.h"

namespace mayfly {

[[nodiscard]] bool is_zero_page(const std::byte* page);

/// `to` is zero already, so whole pages of zeros are not written, and do not take memory where RAM comes in
/// small pages. `to` and `from` agree modulo 4 KiB.
void copy_to_fresh_pages(std::byte* to, const std::byte* from, u64 size_bytes);

}  // namespace mayfly
