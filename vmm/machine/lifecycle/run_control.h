// SPDX-License-Identifier: Apache-2.0
// RunControl: whether a machine's vCPUs run, pause or have finished, and the kicks that bring them out of
// KVM_RUN.
//
// A kick is kvm_run's immediate_exit and a signal: the flag ends the next KVM_RUN, the signal ends the
// present one, so no kick is lost between them. KVM first completes an access in flight: an interrupted
// KVM_RUN leaves no half of an IN or an MMIO access behind. Thread: any, unless a comment says otherwise.
// Spec: Linux Documentation/virt/kvm/api.rst §5 "The kvm_run structure", immediate_exit.
#pragma once

#include <array>
#include <atomic>
#include <optional>
#include <string>

#include <linux/kvm.h>

#include "vmm/error/result.h"
#include "vmm/os/event_fd.h"
#include "vmm/threads/mutex.h"
#include "vmm/threads/stop_token.h"

namespace mayfly {

class RunControl {
  public:
    static constexpr std::size_t kVcpusMax = 64;

    enum class VcpuState : u8 {
        Finished,  ///< its thread does not run yet, or has left for good
        Running,   ///< in KVM_RUN, or handles an exit
        Paused,    ///< waits for resume(): KVM has none of its accesses in flight
    };

    /// Once `end` is requested no vCPU stays paused.
    explicit RunControl(StopToken end) : end_(end) {}
    RunControl(const RunControl&) = delete;
    RunControl& operator=(const RunControl&) = delete;

    /// Before the vCPU's thread starts. Until forget().
    void add_vcpu(kvm_run& run);
    /// Once every vCPU has finished: waits for kicks in progress, and lets no more reach them.
    void forget();
    /// A descriptor to signal as well, for a thread that waits outside KVM_RUN. Until forget().
    void set_wake(const EventFd* wake) { wake_.store(wake, std::memory_order_release); }

    // --- the vCPU's own thread ---

    /// Before the first KVM_RUN.
    void enter(std::size_t index);
    /// After the last.
    void leave(std::size_t index);
    /// KVM_RUN, or a wait outside of it, was interrupted: this kick is over. The reason for a kick is stored
    /// before it: so check for reasons after this call, not before.
    void take_kick(std::size_t index);
    /// After take_kick(). Returns when the vCPU may run.
    void stay_while_paused(std::size_t index);

    // --- threads that kick ---

    /// Makes every vCPU leave KVM_RUN once. Async-signal-safe.
    void kick_all() noexcept;
    /// The machine ends: no vCPU stays paused. Async-signal-safe.
    void end_pause() noexcept;

    /// Before begin_pause(). Errors: Os.
    [[nodiscard]] Result<void> prepare_pause() { return make_events(); }
    /// A vCPU's own thread, in an exit: from now on no vCPU enters the guest, as after pause(), which
    /// somebody else is to call.
    void begin_pause();
    /// Returns when no vCPU runs any more, with all of them paused or finished; none starts until resume().
    /// One thread at a time, not a vCPU's. Errors: Stopped; Os; a vCPU that did not pause by `deadline_ns` of
    /// the monotonic clock: then all run on.
    [[nodiscard]] Result<void> pause(u64 deadline_ns);
    void resume() noexcept;
    [[nodiscard]] bool is_pausing() const { return is_pausing_.load(std::memory_order_seq_cst); }

    [[nodiscard]] VcpuState state(std::size_t index) const {
        return slots_[index].state.load(std::memory_order_acquire);
    }
    /// vCPUs that have not finished.
    [[nodiscard]] std::size_t threads_inside() const;

  private:
    struct Slot {
        kvm_run* run = nullptr;
        std::atomic<int> thread_id = 0;
        std::atomic<VcpuState> state = VcpuState::Finished;
    };
    /// Made at the machine's first pause.
    struct Events {
        EventFd stayed;  ///< a vCPU has paused
        EventFd go_on;   ///< check again whether to stay paused
    };
    [[nodiscard]] bool try_to_run(Slot& slot);
    void run_when_allowed(Slot& slot);
    [[nodiscard]] Result<void> make_events();
    [[nodiscard]] std::optional<std::size_t> first_inside() const;

    const StopToken end_;
    std::array<Slot, kVcpusMax> slots_;
    std::atomic<std::size_t> slot_count_ = 0;
    std::atomic<const EventFd*> wake_ = nullptr;
    std::atomic<u32> kicking_ = 0;                 // calls of kick_all() under way
    std::optional<Events> made_events_;            // the pausing thread's
    std::atomic<const Events*> events_ = nullptr;  // the same, once they exist
    Mutex mutex_;                                  // a pause begins, or a vCPU goes on
    std::atomic<bool> is_pausing_ = false;
};

/// The signal that interrupts KVM_RUN. Its handler only passes on a signal that came from another process
/// (signal_relay.h).
[[nodiscard]] int kick_signal();

}  // namespace mayfly
