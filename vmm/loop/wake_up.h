// SPDX-License-Identifier: Apache-2.0
// WakeUp: the operation that completes when another thread posts to a sleeping loop, only to wake it.
// Thread: the loop's only.
#pragma once

#include "vmm/loop/loop.h"

namespace mayfly {

class Loop::WakeUp final : public Operation {
  public:
    void on_complete(i32 /*result*/, bool /*has_more*/) override {}
};

}  // namespace mayfly
