// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/snapshotter.h"

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/machine/snapshot/snapshot_file.h"
#include "vmm/os/clock.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

/// Of a disk that does not answer, or a reader that does not read.
constexpr std::chrono::seconds kPatience{20};

std::string moment_words(const SnapshotMoment& moment) {
    switch (moment.kind) {
        case SnapshotMoment::Kind::Ready:
            return fmt::format("its guest wrote nothing to port {:#x}", layout::kPortReady);
        case SnapshotMoment::Kind::Signal: return "no SIGUSR2 came";
        case SnapshotMoment::Kind::Mark: break;
    }
    return fmt::format("its guest gave no boot mark {}", moment.mark);
}

Result<void> check_config(const BootConfig& config) {
    TRY_VOID(Machine::check_carriable(config));
    if (config.exec && !config.exec->copies_out.empty())
        return fail(
            Error::invalid(fmt::format("--copy-out {}: a snapshot names no file of the host to write to",
                                       config.exec->copies_out.front().guest))
                .hint("leave it out, or write to stdout"));
    for (const DiskConfig& disk : config.disks) {
        if (!disk.is_overlay) continue;
        return fail(
            Error::invalid(fmt::format("--disk {},overlay: what a guest writes to it is in this process "
                                       "alone, and would be missing in a snapshot",
                                       disk.path))
                .hint("leave overlay out: a restored guest gets an overlay of its own"));
    }
    return {};
}

std::vector<std::optional<FileIdentity>> files_of(std::span<const DiskConfig> disks) {
    std::vector<std::optional<FileIdentity>> files;
    for (const DiskConfig& disk : disks) files.push_back(FileIdentity::of_name(disk.path));
    return files;
}

}  // namespace

Result<std::unique_ptr<Snapshotter>> Snapshotter::create(const BootConfig& boot, std::string maker,
                                                         StopControl& stop) {
    TRY_VOID(check_config(boot));
    // Made only when its moment has come, but refused now.
    const SnapshotConfig& config = *boot.snapshot;
    TRY_VOID(SnapshotWriter::check(config.directory));
    std::unique_ptr<Snapshotter> snapshotter(new Snapshotter(config, std::move(maker), stop));
    snapshotter->disk_files_ = files_of(boot.disks);
    return snapshotter;
}

Snapshotter::~Snapshotter() { finish(); }

Result<void> Snapshotter::start(Machine& machine) {
    thread_ = TRY(Thread::start([this, &machine] { run(machine); }));
    return {};
}

void Snapshotter::finish() {
    stop_.snapshot().cancel();
    if (thread_) thread_->join();
    thread_.reset();
}

std::string Snapshotter::why_none() const {
    const std::string about = "--snapshot " + config_.directory + ": ";
    if (failure_) return about + failure_->message();
    return about + "it was not made: " + moment_words(config_.moment);
}

void Snapshotter::run(Machine& machine) {
    if (!stop_.snapshot().wait()) return;
    Result<SnapshotFacts> made = make(machine);
    if (made) {
        facts_ = *made;
    } else {
        failure_ = std::move(made).error();
    }
    if (!config_.goes_on) stop_.end({EndKind::SnapshotTaken, 0, {}});
}

/// A restore compares the file that has the name then with the one that has it now: it must be the guest's.
Result<void> Snapshotter::check_disks(std::span<const DiskConfig> disks) const {
    const std::vector<std::optional<FileIdentity>> now = files_of(disks);
    for (std::size_t n = 0; n < disks.size(); ++n)
        if (now[n] != disk_files_[n])
            return fail(
                Error::host(fmt::format("--disk {}: another file has taken its name", disks[n].path)));
    return {};
}

Result<SnapshotFacts> Snapshotter::make(Machine& machine) {
    const u64 begin_ns = monotonic_ns();
    TRY_VOID(machine.pause(kPatience));
    const u64 paused_ns = monotonic_ns();
    // However this ends, the guest goes on: also to its end, which a pause would hold up.
    struct Resuming {
        Machine& machine;
        const bool is_wanted;
        ~Resuming() {
            if (is_wanted) machine.resume();
        }
    };
    SnapshotFacts facts;
    std::vector<std::byte> state_file;
    std::optional<SnapshotWriter> writer;
    {
        const Resuming resuming{machine, config_.goes_on};
        writer.emplace(TRY(SnapshotWriter::create(config_.directory)));
        const MachineState state = TRY(machine.save());
        // After the vCPUs' state, whose reading writes kvmclock's page and others.
        const MemoryRecord memory = TRY(write_memory(writer->memory(), machine.ram(), stop_.token()));
        TRY_VOID(check_disks(machine.config().disks));
        const std::vector<DiskIdentity> disks = TRY(identities_of(machine.config().disks));
        state_file = encode_snapshot(machine, state, memory, disks, maker_);
        facts.data_bytes = memory.data_bytes;
    }
    facts.state_bytes = state_file.size();
    facts.paused_ns = monotonic_ns() - paused_ns;
    TRY_VOID(writer->finish(state_file));
    facts.took_ns = monotonic_ns() - begin_ns;
    return facts;
}

}  // namespace mayfly
