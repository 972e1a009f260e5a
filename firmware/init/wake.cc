// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/wake.h"

#include <asm/ioctls.h>
#include <asm/termbits.h>
#include <linux/fcntl.h>
#include <linux/time_types.h>

#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

/// How often to check before giving up on the first byte: the byte arrives during the `out` that requests it,
/// and only has to pass through the kernel.
constexpr int kLooksMax = 5000;

}  // namespace

void Wake::open() {
    file_ = open_file("/dev/ttyS0", O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (file_ < 0) return;
    struct termios raw {};
    raw.c_cflag = B115200 | CS8 | CREAD | CLOCAL;
    raw.c_cc[VMIN] = 1;
    if (system_call(__NR_ioctl, static_cast<u64>(file_), TCSETS, address(&raw)) == 0) return;
    close_file(file_);
    file_ = -1;
}

void Wake::learn() {
    if (file_ < 0) return;
    for (int look = 0; look < kLooksMax && !works_; ++look) {
        char byte = 0;
        works_ = system_call(__NR_read, static_cast<u64>(file_), address(&byte), 1) == 1;
        if (!works_) system_call(__NR_sched_yield);
    }
}

void Wake::clear() {
    char bytes[64];
    while (system_call(__NR_read, static_cast<u64>(file_), address(bytes), sizeof(bytes)) > 0) works_ = true;
}

void Wake::wait(struct pollfd* events, u64 count) {
    constexpr struct __kernel_timespec kAtOnce {};
    constexpr struct __kernel_timespec kAtMost { .tv_sec = 1, .tv_nsec = 0 };
    if (!works_) system_call(__NR_sched_yield);
    system_call(__NR_ppoll, address(events), count, address(works_ ? &kAtMost : &kAtOnce), 0, 0);
    if (events[0].revents != 0) clear();
}

void Wake::wait() {
    struct pollfd ours {
        .fd = file_, .events = POLLIN, .revents = 0
    };
    wait(&ours, 1);
}

}  // namespace mayfly::init
