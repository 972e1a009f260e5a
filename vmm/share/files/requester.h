// SPDX-License-Identifier: Apache-2.0
// Requester: while it lives, files that this thread makes belong to who asked for them in the guest. Who may
// do what there, the guest's kernel has checked (default_permissions); so what the file system would refuse
// that user alone is done all the same.
//
// Thread: one; changes the calling thread's file system identity and no other's. Spec: man setfsuid(2),
// capabilities(7).
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

/// The calling thread gives up CAP_SYS_RESOURCE, with which a monitor that is root writes beyond the quotas
/// of the guest's users.
void obey_quotas();

class Requester {
  public:
    /// `is_needed`: the monitor is root, and files are shown as the host has them.
    Requester(bool is_needed, u32 uid, u32 gid);
    Requester(const Requester&) = delete;
    Requester& operator=(const Requester&) = delete;
    ~Requester();

    /// False: there is no such user in the monitor's user namespace.
    [[nodiscard]] bool is_there() const { return is_there_; }

  private:
    bool is_changed_;
    bool is_there_ = true;
};

}  // namespace mayfly
