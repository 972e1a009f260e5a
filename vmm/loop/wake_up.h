// SPDX-License-Identifier: Apache-2.0
// WakeUp: what completes when another thread posted to a loop that slept. Waking was all it was for.
// Thread: the loop's only.
#pragma once

#include "vmm/loop/loop.h"

namespace mayfly {

class Loop::WakeUp final : public Operation {
  public:
    void on_complete(i32 /*result*/, bool /*has_more*/) override {}
};

}  // namespace mayfly
