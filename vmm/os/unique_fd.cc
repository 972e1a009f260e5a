// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/unique_fd.h"

#include <cerrno>

#include <unistd.h>

#include "vmm/error/verify.h"

namespace mayfly {

void UniqueFd::close_now() {
    if (fd_ < 0) return;
    // EBADF means that other code closed our descriptor: a double close is a bug.
    VERIFY(::close(fd_) == 0 || errno != EBADF);
    fd_ = -1;
}

}  // namespace mayfly
