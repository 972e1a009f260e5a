// SPDX-License-Identifier: Apache-2.0
// Wake: how the monitor has init look around, by a byte at the guest's first serial port.
//
// A kernel that does not drive that port, or gives it no interrupt, wakes nobody: init then looks around all
// the time.
// Thread: init's only one. Spec: Linux Documentation/driver-api/tty/, termios(3).
#pragma once

#include <linux/poll.h>

#include "vmm/error/ints.h"

namespace mayfly::init {

class Wake {
  public:
    /// The port, raw; its driver is made ready to receive.
    void open();
    /// After the monitor was asked for a byte: whether one comes.
    void learn();
    /// To be polled for input; negative where there is none.
    [[nodiscard]] int file() const { return file_; }
    [[nodiscard]] bool works() const { return works_; }
    /// Until something is there for one of `events`, of which the first is ours; not for ever, as the byte
    /// that wakes us may have been somebody else's.
    void wait(struct pollfd* events, u64 count);
    /// The same for nothing but a byte.
    void wait();

  private:
    /// Takes what has come. A byte that is late shows that it works after all.
    void clear();

    int file_ = -1;
    bool works_ = false;
};

}  // namespace mayfly::init
