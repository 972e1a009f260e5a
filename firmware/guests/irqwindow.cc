// SPDX-License-Identifier: Apache-2.0
// irqwindow: 8259s in user space. A request raised while IF=0 waits for STI and no longer; it ends
// HLT too. Needs --irqchip none and the test device; the machine lacks a local APIC.
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/pic_checks.h"

extern "C" guest::u32 guest_main() {
    using namespace guest;
    test_device::require();
    pic_checks::run();

    pic::initialize(kPicVector);
    pic::set_mask(0xffff & ~(1 << pic_checks::kMasterIrq));
    const u32 before = pic_checks::master_count;
    test_device::set_line(pic_checks::kMasterIrq, true);
    for (u32 n = 0; n < 20; ++n) pause();
    in8(pic::kMaster + 1);  // a return to user space: the monitor had its chance
    expect_equal("waits while if=0", before, pic_checks::master_count);
    poll_for(pic_checks::master_count, before + 1, kArrivalMicroseconds);
    expect_equal("comes after sti", before + 1, pic_checks::master_count);
    test_device::set_line(pic_checks::kMasterIrq, false);

    test_device::set_line(pic_checks::kMasterIrq, true);
    halt_with_interrupts();
    expect_equal("ends hlt", before + 2, pic_checks::master_count);
    test_device::set_line(pic_checks::kMasterIrq, false);
    return failure_count();
}
