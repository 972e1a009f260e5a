// SPDX-License-Identifier: Apache-2.0
// KvmHost: the host's KVM, open, and its answers that are the same for every process. An earlier boot may
// have asked for them already, if that can be proven.
//
// All work is done on the calling thread: where the host is a guest itself, waking a second thread takes
// longer than its part of the work. Only the comparison with an earlier boot's answers has its own thread,
// while the guest runs.
// Thread: one thread opens, starts and ends the check.
#pragma once

#include <atomic>
#include <memory>

#include "vmm/answer_cache/answer_cache.h"
#include "vmm/error/result.h"
#include "vmm/kvm/kvm_system.h"
#include "vmm/machine/lifecycle/stop_control.h"
#include "vmm/threads/thread.h"

namespace mayfly {

class KvmHost {
  public:
    /// Errors: those of KvmSystem; Os.
    static Result<std::unique_ptr<KvmHost>> open();
    KvmHost(const KvmHost&) = delete;
    KvmHost& operator=(const KvmHost&) = delete;
    /// Waits for the check.
    ~KvmHost() {
        if (checker_) checker_->join();
    }

    [[nodiscard]] const KvmSystem& system() const { return system_; }
    [[nodiscard]] const KvmAnswers& answers() const { return *cache_.answers(); }

    /// Starts a thread that compares the answers with KVM's, if that is due; where they differ it ends the
    /// machine. Once the guest runs: starting a thread takes as long as getting the answers. `stop` outlives
    /// this object.
    void start_check(StopControl& stop);
    /// Waits for the check, or does it where no thread has begun. Errors: Host, when the answers are wrong,
    /// which makes the guest's result worthless.
    Result<void> finish_check();

  private:
    enum class Check : u8 { None, Due, Running, Right, Wrong };

    KvmHost(KvmSystem system, AnswerCache cache) : system_(std::move(system)), cache_(std::move(cache)) {}
    [[nodiscard]] bool are_right() const;
    [[nodiscard]] bool is_said_by_any_cpu() const;
    /// Without effect where another thread has begun.
    void check();

    const KvmSystem system_;
    const AnswerCache cache_;
    std::atomic<Check> check_ = Check::None;
    std::optional<Thread> checker_;
};

}  // namespace mayfly
