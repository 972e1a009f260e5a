// SPDX-License-Identifier: Apache-2.0
// Snapshotter: makes the snapshot of a running machine, once its moment has come.
//
// Thread: one of its own, from start() to finish(); the rest is the main thread's.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/machine/machine.h"
#include "vmm/os/file_identity.h"
#include "vmm/threads/thread.h"

namespace mayfly {

/// Figures for the user.
struct SnapshotFacts {
    u64 data_bytes = 0;  ///< of the guest's memory
    u64 state_bytes = 0;
    u64 paused_ns = 0;  ///< while the machine stood still
    u64 took_ns = 0;    ///< from the moment to the directory's name
};

class Snapshotter {
  public:
    /// Before the machine is made, with `boot.snapshot`, for which `stop` is armed: refuses a name that is
    /// taken already, and a machine with what no snapshot can have. `stop` outlives this. Errors: Invalid,
    /// Os. `maker` is mayfly's version.
    static Result<std::unique_ptr<Snapshotter>> create(const BootConfig& boot, std::string maker,
                                                       StopControl& stop);
    Snapshotter(const Snapshotter&) = delete;
    Snapshotter& operator=(const Snapshotter&) = delete;
    /// As finish().
    ~Snapshotter();

    /// Before its run(). `machine` outlives the thread. Errors: Os.
    Result<void> start(Machine& machine);
    /// Once the machine has ended, or was never run. Afterwards:
    void finish();
    /// Of the snapshot that was made.
    [[nodiscard]] const std::optional<SnapshotFacts>& facts() const { return facts_; }
    /// Why it was not made: an error, or that its moment never came.
    [[nodiscard]] std::string why_none() const;

  private:
    Snapshotter(const SnapshotConfig& config, std::string maker, StopControl& stop)
        : config_(config), maker_(std::move(maker)), stop_(stop) {}
    void run(Machine& machine);
    Result<SnapshotFacts> make(Machine& machine);
    [[nodiscard]] Result<void> check_disks(std::span<const DiskConfig> disks) const;

    const SnapshotConfig config_;
    const std::string maker_;
    StopControl& stop_;
    std::vector<std::optional<FileIdentity>> disk_files_;  // as the machine opens them
    std::optional<Thread> thread_;
    std::optional<SnapshotFacts> facts_;  // the thread's until finish(), as is the next
    std::optional<Error> failure_;
};

}  // namespace mayfly
