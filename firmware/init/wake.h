// SPDX-License-Identifier: Apache-2.0
// Wake: how the monitor has init look around, by a byte at the guest's first serial port.
//
// A kernel that does not drive that port, or gives it no interrupt, wakes nobody: init then looks around all
// the time.
// Thread: init's only one. Spec: Linux Documentation/driver-api/tty/, termios(3).
#pragma once

namespace mayfly::init {

class Wake {
  public:
    /// The port, raw; its driver is made ready to receive.
    void open();
    /// After the monitor was asked for a byte: whether one comes.
    void learn();
    /// To be polled for input; negative where that wakes nobody.
    [[nodiscard]] int file() const { return works_ ? file_ : -1; }
    [[nodiscard]] bool works() const { return works_; }
    /// Takes what has come.
    void clear() const;

  private:
    int file_ = -1;
    bool works_ = false;
};

}  // namespace mayfly::init
