// SPDX-License-Identifier: Apache-2.0
// Text of our init: NUL-ended strings, and lines for the console.
//
// Thread: init's only one.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::init {

[[nodiscard]] u64 length(const char* text);
[[nodiscard]] bool is_same(const char* a, const char* b);
/// The part after the last slash.
[[nodiscard]] const char* base_name(const char* path);

/// Parses the leading digits.
[[nodiscard]] u32 decimal(const char* digits);

/// "init: " and the parts, a line for the monitor; on the console where the monitor cannot be reached.
void say(const char* a, const char* b = "", const char* c = "", const char* d = "", const char* e = "",
         const char* f = "");

/// "ENOENT", or "errno 200". `error` is positive. The text lasts until the next call.
[[nodiscard]] const char* error_name(long error);

}  // namespace mayfly::init
