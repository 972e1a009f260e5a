// SPDX-License-Identifier: Apache-2.0
// The rest of the first thread's stack, which is as large as `ulimit -s` says, and the error where it is too
// small, or where memory has run out: both need little stack and memory.
//
// Threads that we start have stacks of their own size (vmm/threads/thread.cc). Thread: the first one.
#pragma once

#include <optional>

#include "vmm/error/ints.h"

namespace mayfly {

struct FirstStack {
    u64 limit_bytes;
    /// Below the caller's frame. The part above it, mostly arguments and environment, counts against the
    /// limit too.
    u64 left_bytes;
};
/// Empty without a limit.
[[nodiscard]] std::optional<FirstStack> first_stack();

/// A line on stderr: what is left, and that `needed_bytes` are needed.
void tell_small_stack(const FirstStack& stack, u64 needed_bytes);

/// operator new that finds nothing ends the process with `status`, after a line on stderr, instead of
/// throwing: nobody here catches.
void end_without_memory(int status);

}  // namespace mayfly
