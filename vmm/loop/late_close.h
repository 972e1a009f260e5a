// SPDX-License-Identifier: Apache-2.0
// late_close: lets the kernel close a file once this process is gone, so that nobody waits for the close.
//
// The last close of a KVM VM takes it apart, for which KVM waits for grace periods: up to 20 ms in which a
// process that has ended cannot be reaped. A file that an io_uring holds is closed when the ring is taken
// down, which a worker of the kernel's own does after the process has closed it: no process stays behind, no
// other process's descriptor is kept, and no cgroup is held. Mapped memory is freed at the process's end as
// always.
// Thread: any.
// Spec: io_uring_register(2), "IORING_REGISTER_FILES".
#pragma once

#include "vmm/os/unique_fd.h"

namespace mayfly {

/// For a process that is about to end: holds the file until after that. Without io_uring the file is closed
/// at the end, as it would be without.
void close_late(const UniqueFd& file);

}  // namespace mayfly
