// SPDX-License-Identifier: Apache-2.0
// The guest's side of mayfly's test device.
#pragma once

#include "devices/platform/test_device_spec.h"
#include "firmware/guests/runtime/report.h"

namespace guest::test_device {

/// Absent hardware reads as all ones.
inline bool is_present() {
    out32(MAYFLY_TESTDEV_SCRATCH, 0x5aa5'1234);
    return in32(MAYFLY_TESTDEV_SCRATCH) == 0x5aa5'1234;
}

/// Ends the guest with one failure when the machine has no test device.
inline void require() {
    if (is_present()) return;
    fail("testdev: no test device, boot with --testdev");
    exit_guest(failure_count());
}

inline void set_line(u16 gsi, bool high) { out8(static_cast<u16>(MAYFLY_TESTDEV_IRQ + gsi), high ? 1 : 0); }

/// The MSI for `vector` at APIC id 0: fixed, edge.
inline void set_msi(u8 vector) {
    out32(MAYFLY_TESTDEV_MSI_ADDRESS, 0xfee0'0000);
    out32(MAYFLY_TESTDEV_MSI_DATA, vector);
}

/// Returns the device's status: 0 done, 1 this machine cannot, 2 the host refused.
inline u8 act(u8 action) {
    out8(MAYFLY_TESTDEV_ACTION, action);
    return in8(MAYFLY_TESTDEV_ACTION);
}

}  // namespace guest::test_device
