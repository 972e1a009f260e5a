// SPDX-License-Identifier: Apache-2.0
// pic: two 8259s through LINT0 in ExtINT mode. Needs the legacy profile and the test device.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/pic_checks.h"

extern "C" guest::u32 guest_main() {
    using namespace guest;
    test_device::require();
    apic::enable();
    apic::write(apic::Register::Lint0Entry, apic::kDeliverExtInt);
    pic_checks::run();
    // With LINT0 masked the 8259s have no way in.
    apic::write(apic::Register::Lint0Entry, apic::kDeliverExtInt | apic::kMasked);
    pic_checks::expect_silence("lint0 masked");
    return failure_count();
}
