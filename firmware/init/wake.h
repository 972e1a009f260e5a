// SPDX-License-Identifier: Apache-2.0
// Wake: how the monitor wakes init, by a byte at the guest's first serial port.
//
// With a kernel that does not drive that port, or gives it no interrupt, init polls all the time.
// Thread: init's only one. Spec: Linux Documentation/driver-api/tty/, termios(3).
#pragma once

#include <linux/poll.h>

#include "vmm/error/ints.h"

namespace mayfly::init {

class Wake {
  public:
    /// Opens the port, raw, and makes its driver ready to receive.
    void open();
    /// After the monitor was asked for a byte: tests whether it comes.
    void learn();
    /// The descriptor to poll for input; negative without input.
    [[nodiscard]] int file() const { return file_; }
    [[nodiscard]] bool works() const { return works_; }
    /// Waits for one of `events`, of which the first is ours; not forever, because another process may have
    /// read the byte that wakes us.
    void wait(struct pollfd* events, u64 count);
    /// The same, for the byte alone.
    void wait();

  private:
    /// Reads the bytes that came. A late byte shows that waking works after all.
    void clear();

    int file_ = -1;
    bool works_ = false;
};

}  // namespace mayfly::init
