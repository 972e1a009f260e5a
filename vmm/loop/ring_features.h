// SPDX-License-Identifier: Apache-2.0
// RingFeatures: which parts of io_uring this kernel supports, found with one ring.
//
// A set-up that the kernel refuses makes no ring, so trying from the newest flags to the oldest costs
// nothing. Not the loop itself. Thread: any; values only. Spec: Linux include/uapi/linux/io_uring.h.
#pragma once

#include <string_view>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct RingFeature {
    std::string_view name;   ///< the header's name without its prefix: "DEFER_TASKRUN"
    std::string_view since;  ///< the release that brought it, for people
    bool is_present = false;
};

struct RingFeatures {
    int setup_errno = 0;  ///< 0: a ring could be made. ENOSYS: not built in. EPERM: forbidden
    std::vector<RingFeature> features;
    u32 operation_count = 0;  ///< how many operations the kernel knows

    [[nodiscard]] bool is_available() const { return setup_errno == 0; }
    [[nodiscard]] bool has(std::string_view name) const;
};

/// Makes and closes one small ring: about 0.2 ms.
[[nodiscard]] RingFeatures detect_ring_features();

}  // namespace mayfly
