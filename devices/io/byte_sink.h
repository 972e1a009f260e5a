// SPDX-License-Identifier: Apache-2.0
// ByteSink: where a device's outgoing characters go. The machine decides which file or terminal that is.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// Called with the device's bus lock held, on a vCPU thread.
class ByteSink {
  public:
    ByteSink() = default;
    ByteSink(const ByteSink&) = delete;
    ByteSink& operator=(const ByteSink&) = delete;
    virtual ~ByteSink() = default;

    virtual void put(u8 byte) = 0;
};

}  // namespace mayfly
