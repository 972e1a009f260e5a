// SPDX-License-Identifier: Apache-2.0
// Gpa: a guest-physical address. A type of its own so that it is never mistaken for a host address.
#pragma once

#include <compare>

#include "vmm/error/ints.h"

namespace mayfly {

struct Gpa {
    u64 value = 0;

    // clang-tidy 14 takes the zero that a defaulted <=> compares with for a pointer.
    friend constexpr auto operator<=>(Gpa, Gpa) = default;  // NOLINT(modernize-use-nullptr)
    /// Wraps like the hardware's adder; range checks are GuestMemory's.
    friend constexpr Gpa operator+(Gpa base, u64 offset_bytes) { return Gpa{base.value + offset_bytes}; }
    friend constexpr u64 operator-(Gpa end, Gpa base) { return end.value - base.value; }
};

}  // namespace mayfly
