// SPDX-License-Identifier: Apache-2.0
// WireType: types that may be copied between guest memory and a local as raw bytes.
#pragma once

#include <bit>
#include <type_traits>

#include "vmm/error/ints.h"

namespace mayfly {

static_assert(std::endian::native == std::endian::little, "structures are read in host byte order");

/// Trivially copyable, standard layout, and no padding whose bytes would leak host memory.
template <typename T>
concept WireType = std::is_trivially_copyable_v<T> && std::is_standard_layout_v<T> &&
    std::has_unique_object_representations_v<T>;

}  // namespace mayfly
