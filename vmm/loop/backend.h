// SPDX-License-Identifier: Apache-2.0
// Backend: the host's side of a device: a file, an interface, a socket, a terminal.
//
// It works on the caller's thread until it is attached to a loop. Each kind of device defines its requests
// (BlockBackend, NetBackend). Thread: attach() on the loop's thread, or before the loop runs.
#pragma once

#include "vmm/error/result.h"

namespace mayfly {

class Loop;

class Backend {
  public:
    Backend() = default;
    Backend(const Backend&) = delete;
    Backend& operator=(const Backend&) = delete;
    virtual ~Backend() = default;

    /// From now on requests come on the loop's thread only. Once; `loop` is destroyed first.
    virtual Result<void> attach(Loop& loop) = 0;
    /// No loop runs any more: ends helper processes. On the main thread.
    virtual void finish() {}
};

}  // namespace mayfly
