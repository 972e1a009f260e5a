// SPDX-License-Identifier: Apache-2.0
// replace_by_null(): closes a stream of ours, so that the process at its other end sees the end.
//
// Thread: any; nobody else uses the descriptor.
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace mayfly {

inline void replace_by_null(int fd) {
    const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) return;
    ::dup2(null, fd);
    ::close(null);
}

}  // namespace mayfly
