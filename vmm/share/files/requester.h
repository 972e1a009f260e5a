// SPDX-License-Identifier: Apache-2.0
// Requester: while it lives, files that this thread makes belong to the guest's user who asked for them. The
// guest's kernel has checked permissions (default_permissions); so operations that the host's file system
// would refuse only that user still succeed.
//
// Thread: one; changes only the calling thread's file system identity. Spec: man setfsuid(2),
// capabilities(7).
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// The calling thread gives up CAP_SYS_RESOURCE, with which a monitor that is root writes beyond the quotas
/// of the guest's users.
void obey_quotas();

class Requester {
  public:
    /// `is_needed`: the monitor is root, and files are shown with their host owners.
    Requester(bool is_needed, u32 uid, u32 gid);
    Requester(const Requester&) = delete;
    Requester& operator=(const Requester&) = delete;
    ~Requester();

    /// False: the monitor's user namespace lacks that user.
    [[nodiscard]] bool is_there() const { return is_there_; }

  private:
    bool is_changed_;
    bool is_there_ = true;
};

}  // namespace mayfly
