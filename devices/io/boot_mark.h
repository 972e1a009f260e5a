// SPDX-License-Identifier: Apache-2.0
// BootMarkSink: how a device reports that the guest marked a moment of its boot.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// Called with the device's bus lock held, on a vCPU thread; the moment is that of the call.
class BootMarkSink {
  public:
    BootMarkSink() = default;
    BootMarkSink(const BootMarkSink&) = delete;
    BootMarkSink& operator=(const BootMarkSink&) = delete;
    virtual ~BootMarkSink() = default;

    virtual void on_mark(u32 value) = 0;
};

}  // namespace mayfly
