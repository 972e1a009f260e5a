// SPDX-License-Identifier: Apache-2.0
// mount_shares(): directories of the host, each at its place in the guest.
//
// Thread: init's only one.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::init {

/// Mounts the virtio-fs device with this tag. Says what it cannot do. \returns 0, or a negated errno.
long mount_device(const char* tag, const char* place, u64 flags);

/// `shares` are Job's, mounted in that order: one may lie in another. Their places are made. Says what it
/// cannot do. \returns 0, or a negated errno: the program would find something else than its user wants.
long mount_shares(const char* const* shares);

}  // namespace mayfly::init
