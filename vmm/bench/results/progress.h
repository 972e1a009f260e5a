// SPDX-License-Identifier: Apache-2.0
// Progress: one line on stderr, rewritten in place on a terminal; elsewhere, and where escape sequences are
// not wanted, a line for every tenth of the timed runs. Thread: one.
#pragma once

#include "vmm/bench/measure/session.h"
#include "vmm/os/display.h"

namespace mayfly {

class Progress {
  public:
    explicit Progress(const BenchPlan& plan);

    void batch_done(const Progression& progression, std::span<const Run> batch);
    /// Erases the line on a terminal.
    void finish();

    /// "40 %, 120 of 300 runs, about 3 s left"; of the others "warm-up 1 of 2".
    [[nodiscard]] static std::string describe(const Progression& progression, RunKind kind, u64 took_ns);

  private:
    void tell_each(const Progression& progression, std::span<const Run> batch);

    const BenchPlan& plan_;
    Display display_;
    bool has_line_ = false;
    u64 started_ns_;  ///< the timed runs
    u32 tenths_printed_ = 0;
};

}  // namespace mayfly
