// SPDX-License-Identifier: Apache-2.0
// What is left of the first thread's stack, which is as large as `ulimit -s` says, and what to say where that
// is too little, or where there is no more memory: both without much of either.
//
// Threads that we start have stacks of their own size (vmm/threads/thread.cc). Thread: the first one.
#pragma once

#include <optional>

#include "vmm/error/ints.h"

namespace mayfly {

struct FirstStack {
    u64 limit_bytes;
    /// Below the caller's frame. What is above it, arguments and environment for the most part, counts
    /// against the limit too.
    u64 left_bytes;
};
/// Nothing where there is no limit.
[[nodiscard]] std::optional<FirstStack> first_stack();

/// A line on stderr: what is left, and that `needed_bytes` are needed.
void tell_small_stack(const FirstStack& stack, u64 needed_bytes);

/// operator new that finds nothing ends the process with `status`, after a line on stderr, instead of
/// throwing: nobody here catches.
void end_without_memory(int status);

}  // namespace mayfly
