// SPDX-License-Identifier: Apache-2.0
#include "vmm/loop/late_close.h"

#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace mayfly {

void close_late(const UniqueFd& file) {
    io_uring_params parameters{};
    const long ring = ::syscall(SYS_io_uring_setup, 1, &parameters);
    if (ring < 0) return;
    const int number = file.get();
    // A refusal does not matter. The ring stays open: the process ends.
    (void)::syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &number, 1);
}

}  // namespace mayfly
