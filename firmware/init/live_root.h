// SPDX-License-Identifier: Apache-2.0
// enter_live_root(): a directory of the host becomes the guest's root, in place of the unpacked archive.
//
// Creates nothing in that directory: the guest's own file systems are mounted in it, or lie over it in
// memory.
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"

namespace mayfly::init {

/// Moves the mounted /proc, /sys and /dev into it, and /.mayfly to kOursBesideRoot. Reports errors. \returns
/// 0, or a negated errno.
long enter_live_root(JobRoot root);

}  // namespace mayfly::init
