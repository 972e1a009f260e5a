// SPDX-License-Identifier: Apache-2.0
// MsiPort: where a function's MSI-X messages go. The machine decides which kernel interface carries them.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

enum class MsiPath : u8 {
    Irqfd,      ///< an eventfd that KVM listens to
    SignalMsi,  ///< one ioctl
    Lost,       ///< the host refused the message: the guest wrote nonsense, or no vCPU has that id
};

/// Under the device's lock.
class MsiPort {
  public:
    MsiPort() = default;
    MsiPort(const MsiPort&) = delete;
    MsiPort& operator=(const MsiPort&) = delete;
    virtual ~MsiPort() = default;

    /// From now on the vector sends this message. Called when it is unmasked, not for each of the writes that
    /// a driver makes before.
    virtual void set_message(u16 vector, u64 address, u32 data) = 0;
    /// Sends the vector's message, set before.
    virtual MsiPath send(u16 vector) = 0;
};

}  // namespace mayfly
