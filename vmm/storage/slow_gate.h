// SPDX-License-Identifier: Apache-2.0
// SlowGate: allows system calls that can block on the I/O thread, while they are quick.
//
// Slow ones close it for a while, so that a file system that throttles one disk does not hold up the other
// devices; the more often, the longer. The scheduler may cause a single slow call, but not two close
// together. Thread: one at a time.
#pragma once

#include <algorithm>

#include "vmm/error/ints.h"

namespace mayfly {

class SlowGate {
  public:
    static constexpr u64 kSlowNs = 2'000'000;
    /// Linux pauses a writer that makes pages dirty too fast after each 128 KiB or less.
    static constexpr u32 kCallsTogether = 64;
    static constexpr u64 kClosedNsMin = 100'000'000;
    static constexpr u64 kClosedNsMax = 3'200'000'000;

    [[nodiscard]] bool is_open(u64 now_ns) const { return now_ns >= closed_until_ns_; }

    void took(u64 begin_ns, u64 end_ns) {
        const bool is_second = calls_suspicious_ != 0;
        if (is_second) --calls_suspicious_;
        if (end_ns - begin_ns < kSlowNs) {
            // Quick for as long as it was closed: forgets the slow calls.
            if (end_ns >= closed_until_ns_ + closed_ns_) closed_ns_ = kClosedNsMin;
            return;
        }
        if (!is_second) {
            calls_suspicious_ = kCallsTogether;
            return;
        }
        calls_suspicious_ = 0;
        closed_until_ns_ = end_ns + closed_ns_;
        closed_ns_ = std::min(closed_ns_ * 2, kClosedNsMax);
    }

  private:
    u64 closed_until_ns_ = 0;
    u64 closed_ns_ = kClosedNsMin;
    u32 calls_suspicious_ = 0;
};

}  // namespace mayfly
