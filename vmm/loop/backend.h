// SPDX-License-Identifier: Apache-2.0
// Backend: what a device stands for on the host: a file, an interface, a socket, a terminal.
//
// It works on whichever thread asks until it is given to a loop. What it is asked, each kind of device says
// for itself (BlockBackend, NetBackend). Thread: attach() on the loop's thread, or before the loop runs.
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

    /// From now on it is asked on the loop's thread only. Once; `loop` is destroyed first.
    virtual Result<void> attach(Loop& loop) = 0;
    /// No loop runs any more: ends what it has running beside us. On the main thread.
    virtual void finish() {}
};

}  // namespace mayfly
