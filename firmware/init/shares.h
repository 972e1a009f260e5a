// SPDX-License-Identifier: Apache-2.0
// mount_shares(): directories of the host, each at its place in the guest.
//
// Thread: init's only one.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::init {

/// Mounts the virtio-fs device with this tag. Reports errors. \returns 0, or a negated errno.
long mount_device(const char* tag, const char* place, u64 flags);

/// `shares` are the job's, mounted in that order: one may lie in another. Makes their directories. Reports
/// errors. \returns 0, or a negated errno: the program would not find the files that its user wants.
long mount_shares(const char* const* shares);

}  // namespace mayfly::init
