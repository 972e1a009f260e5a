// SPDX-License-Identifier: Apache-2.0
// VERIFY: an always-on check of our own invariants. Never on a value that came from a guest; near guest code
// a comment says why no guest can make it fail (CONTRIBUTING.md, "Errors").
#pragma once

namespace mayfly {

/// Prints one line on stderr and aborts.
[[noreturn]] void verify_failed(const char* condition, const char* file, int line);

}  // namespace mayfly

#define VERIFY(condition) \
    (static_cast<bool>(condition) ? void(0) : ::mayfly::verify_failed(#condition, __FILE__, __LINE__))

#define UNREACHABLE() ::mayfly::verify_failed("unreachable", __FILE__, __LINE__)
