// SPDX-License-Identifier: Apache-2.0
// RewiringLimit: how often a guest may have this machine's doorbells and interrupts wired anew.
//
// A doorbell that moved, or an interrupt with another message, costs the host kernel a grace period of all
// vCPUs (milliseconds, some of them under locks of others), and a guest makes it do so by one register write.
// What is wired the first time is free: there is so much of it and no more. Beyond the limit everything works
// on, by exits and KVM_SIGNAL_MSI, until there is a token again. Thread: any; internally locked.
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
