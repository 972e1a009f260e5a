// SPDX-License-Identifier: Apache-2.0
// BatchRunner: starts some processes of one column together and watches them to their end.
//
// Nothing of ours runs between a start and an end but poll(2), unless the process writes to stderr or, with
// marks, to its console: else stdout is /dev/null. Thread: one; SIGINT, SIGTERM and SIGHUP are blocked from
// create() on, and taken here, until its destruction: writing the results may wait for a reader.
#pragma once

#include <csignal>
#include <memory>
#include <vector>

#include "vmm/bench/measure/plan.h"
#include "vmm/process/process.h"

namespace mayfly {

class BatchRunner {
  public:
    /// Errors: Os. `plan` outlives it.
    static Result<BatchRunner> create(const BenchPlan& plan);
    BatchRunner(BatchRunner&&) = default;
    BatchRunner& operator=(BatchRunner&&) = delete;
    ~BatchRunner();

    /// Runs in the order in which they started. A process that cannot be started is an error; a program that
    /// cannot be executed is a failed run. After a signal the processes are ended and no more start.
    Result<std::vector<Run>> run(std::size_t column, RunKind kind, u32 round, u32 count);

    /// Runs `command` by sh(1), untimed; processes that it leaves running live on. Exceeding the plan's time
    /// limit is a failure as well. Errors: as above.
    Result<Run> prepare(const std::string& command);

    /// The signal that asked us to stop, or 0.
    [[nodiscard]] int signal() const { return signal_; }

  private:
    struct Slot;

    BatchRunner(const BenchPlan& plan, UniqueFd null_fd, UniqueFd signals, const sigset_t& mask_before)
        : plan_(&plan),
          null_fd_(std::move(null_fd)),
          signals_(std::move(signals)),
          mask_before_(mask_before) {}

    Result<Slot> start(std::size_t column, RunKind kind, u32 round);
    [[nodiscard]] Slot watched(Process process, UniqueFd error) const;
    Result<void> watch(std::vector<Slot>& slots);
    void take_signal(std::vector<Slot>& slots);
    void end_overdue(std::vector<Slot>& slots) const;

    const BenchPlan* plan_;
    UniqueFd null_fd_;
    UniqueFd signals_;  ///< invalid once moved from
    sigset_t mask_before_;
    int signal_ = 0;
    u64 kill_at_ns_ = ~u64{0};  ///< for processes that were asked to end and did not
};

}  // namespace mayfly
