// SPDX-License-Identifier: Apache-2.0
// Poller: work that shows itself in memory, without a system call: rings that guests fill.
// Thread: the loop's only.
#pragma once

namespace mayfly {

class Poller {
  public:
    Poller() = default;
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;
    virtual ~Poller() = default;

    /// Looks, does a bounded amount of what it finds, and says whether there was any. Once per turn, and
    /// again and again while the loop waits without sleeping: nothing found must be cheap.
    virtual bool poll() = 0;
    /// The loop would sleep: have doorbells ring again, then look once more. False when there is work after
    /// all; then nothing is slept, the doorbells are as poll() wants them, and poll() follows.
    virtual bool prepare_to_sleep() = 0;
    /// After every prepare_to_sleep() that returned true, slept or not: doorbells may be silenced again.
    virtual void woke() = 0;
};

}  // namespace mayfly
