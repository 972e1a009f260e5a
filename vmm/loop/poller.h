// SPDX-License-Identifier: Apache-2.0
// Poller: finds work in memory, without a system call: in rings that guests fill.
// Thread: the loop's only.
#pragma once

namespace mayfly {

class Poller {
  public:
    Poller() = default;
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    virtual ~Poller() = default;

    /// Looks for work, does a bounded amount, and tells whether it found any. Once per turn, and repeatedly
    /// while the loop waits without sleeping: must be cheap when it finds nothing.
    virtual bool poll() = 0;
    /// The loop is about to sleep: arm doorbells again, then look once more. False when work came after all;
    /// then the loop does not sleep, the doorbells are as poll() needs them, and poll() follows.
    virtual bool prepare_to_sleep() = 0;
    /// After every prepare_to_sleep() that returned true, slept or not: doorbells may be silenced again.
    virtual void woke() = 0;
};

}  // namespace mayfly
