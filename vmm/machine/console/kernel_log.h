// SPDX-License-Identifier: Apache-2.0
// KernelLog: the first part of a Linux guest's console, read out of the kernel's memory.
//
// A Linux guest with a virtio console prints nothing until the console has its driver, and the driver drops
// earlier messages. An early console carries them at an exit for each character, 21,000 of them and an eighth
// of all instructions of a boot. But the kernel also keeps its log in memory (PrintkRing), so it is read
// there, at no cost to the guest: when the virtio console first speaks, when the guest ends, and from time to
// time while a user or a watch sees the console.
//
// Everything read is a guest's (PrintkRecords). One reading prints no more than the ring has room for, whose
// size is known from the kernel's file, and once mayfly has to end for an outside reason, it reads only some
// thousand records. A record that is being written is left for later.
// Thread: built by the main thread; any thread from then on, internally locked. Lock order: the virtio
// console's device, then this, then the output.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/machine/console/console.h"
#include "vmm/machine/console/printk_records.h"
#include "vmm/snapshot/machine_state.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class KernelLog {
  public:
    /// `output` and `stop` outlive this object.
    KernelLog(const PrintkRing& ring, ConsoleOutput& output, const StopControl& stop)
        : records_(ring), output_(output), stop_(stop), next_id_(ring.first_id), seen_id_(ring.first_id) {}
    KernelLog(const KernelLog&) = delete;
    KernelLog& operator=(const KernelLog&) = delete;

    /// Both before the guest runs. Records of `level` (syslog's, 0 to 7) and above are not for the console.
    void set_level(int level) { level_ = level; }
    void set_memory(const GuestMemory& memory) { records_.set_memory(memory); }
    /// Whether the ring may soon overflow, so that it must be drained.
    [[nodiscard]] bool is_verbose() const { return level_ > kLevelUsual; }

    /// Prints the records that existed at the previous call: the console may be about to print newer ones
    /// itself.
    void drain();
    /// The virtio console's first bytes follow: prints the records before them. From now on the console
    /// prints its own records, and this object does nothing.
    void hand_over_to(std::span<const u8> bytes);
    /// No vCPU runs any more.
    void finish();

    /// Records unprinted then are left to the restored machine: finish() prints nothing, unless this machine
    /// went on.
    [[nodiscard]] KernelLogState save();
    /// Before the guest runs.
    void restore(const KernelLogState& state);

    [[nodiscard]] const PrintkRecords& records() const { return records_; }
    [[nodiscard]] bool has_handed_over() const { return has_handed_over_.load(std::memory_order_acquire); }
    /// Whether drain() may have something to print.
    [[nodiscard]] bool has_more() const;

  private:
    using Found = PrintkRecords::Found;
    using Record = PrintkRecords::Record;
    /// The range of records that are new and still readable.
    struct Range {
        u64 from;
        u64 to;
    };
    /// Where the console continues: within the printed form of a record.
    struct Place {
        u64 id;
        std::size_t offset;
    };
    [[nodiscard]] Range unprinted() const;
    [[nodiscard]] std::optional<Place> find(std::string_view printed) const;
    void say(std::string_view text);
    /// Prints how many records lie between, if any. Gives back `id`.
    u64 skip_to(u64 from, u64 id);
    /// The most that one call prints.
    [[nodiscard]] u64 printed_max() const;
    /// Prints the records up to `to`.
    void say_until(u64 to, bool has_ended);

    PrintkRecords records_;
    ConsoleOutput& output_;
    const StopControl& stop_;
    static constexpr int kLevelUsual = 7;

    int level_ = kLevelUsual;
    std::atomic<bool> has_handed_over_ = false;
    bool was_saved_ GUARDED_BY(mutex_) = false;
    std::atomic<u64> next_id_;
    u64 seen_id_ GUARDED_BY(mutex_) = 0;  // where the log ended when drain() last looked
    Mutex mutex_;
};

}  // namespace mayfly
