// SPDX-License-Identifier: Apache-2.0
// Progress: one line on stderr that is written over again on a terminal; elsewhere a line for every tenth.
// Thread: one.
#pragma once

#include "vmm/bench/plan.h"

namespace mayfly {

class Progress {
  public:
    explicit Progress(const BenchPlan& plan);

    void batch_done(u32 done, u32 total, const Run& last);
    /// Takes the line off a terminal.
    void finish();

  private:
    const BenchPlan& plan_;
    bool is_terminal_;
    bool has_line_ = false;
    u64 started_ns_;
    u32 tenths_told_ = 0;
};

}  // namespace mayfly
