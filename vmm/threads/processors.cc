// SPDX-License-Identifier: Apache-2.0
#include "vmm/threads/processors.h"

#include <sched.h>

namespace mayfly {

bool has_one_processor() {
    cpu_set_t cpus;
    return ::sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1;
}

}  // namespace mayfly
