// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/restart_policy.h"

#include <algorithm>

namespace mayfly {

std::optional<u64> RestartPolicy::delay_after_end(u64 now_ns) {
    const auto begin = ends_ns_.begin();
    const auto old = [&](u64 end_ns) { return now_ns - end_ns >= kWindowNs; };
    count_ = static_cast<std::size_t>(
        std::remove_if(begin, begin + static_cast<std::ptrdiff_t>(count_), old) - begin);
    if (count_ == kRestartsMax) return std::nullopt;
    ends_ns_[count_] = now_ns;
    return kFirstDelayNs << count_++;
}

}  // namespace mayfly
