// SPDX-License-Identifier: Apache-2.0
// enter_live_root(): a directory of the host becomes the guest's root, in place of what the archive unpacked
// to.
//
// Nothing is made in that directory: what the guest needs is mounted in it, or lies over it in memory.
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"

namespace mayfly::init {

/// /proc, /sys and /dev are in it as they were mounted before, and /.mayfly is kOursBesideRoot. Says what it
/// cannot do. \returns 0, or a negated errno.
long enter_live_root(JobRoot root);

}  // namespace mayfly::init
