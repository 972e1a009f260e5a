// SPDX-License-Identifier: Apache-2.0
// RewiringLimit: limits how often a guest may make this machine rewire its doorbells and interrupts.
//
// A doorbell that moved, or an interrupt with another message, costs the host kernel a grace period of all
// vCPUs (milliseconds, some of them under locks of others), and one register write of a guest causes it. The
// first wiring of each is free: their number is limited. Beyond the limit everything still works, by exits
// and KVM_SIGNAL_MSI, until a token comes. Thread: any; internally locked.
#pragma once

#include "devices/virtio/token_bucket.h"
#include "vmm/os/clock.h"
#include "vmm/threads/mutex.h"

namespace mayfly {

class RewiringLimit {
  public:
    struct Counts {
        u64 granted = 0;
        u64 put_off = 0;
    };

    explicit RewiringLimit(u64 (*now_ns)() = monotonic_ns) : now_ns_(now_ns) {}

    /// False: not now.
    [[nodiscard]] bool take() {
        const Lock guard(mutex_);
        const bool is_granted = !bucket_.take(1, now_ns_()).has_value();
        ++(is_granted ? counts_.granted : counts_.put_off);
        return is_granted;
    }
    [[nodiscard]] Counts counts() {
        const Lock guard(mutex_);
        return counts_;
    }

  private:
    u64 (*now_ns_)();
    Mutex mutex_;
    TokenBucket bucket_ GUARDED_BY(mutex_){kSlowWorkLimit};
    Counts counts_ GUARDED_BY(mutex_);
};

}  // namespace mayfly
