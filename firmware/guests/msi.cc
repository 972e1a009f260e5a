// SPDX-License-Identifier: Apache-2.0
// msi: message-signalled interrupts by KVM_SIGNAL_MSI, by irqfd, and from another thread.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/test_device.h"

namespace guest {
namespace {

constexpr u32 kTrainMicroseconds = 50'000;
constexpr u32 kCount = 8;
constexpr u32 kTrainsMax = 100;

constinit volatile u32 arrived = 0;

void check(Text name, u8 action) {
    arrived = 0;
    for (u32 n = 1; n <= kCount; ++n) {
        const u8 status = test_device::act(action);
        if (status != 0) return expect_equal(name, 0, status);
        if (!halt_for(arrived, n, kArrivalMicroseconds)) break;
    }
    expect_equal(name, kCount, arrived);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    test_device::require();
    set_gate(kMsiVector, apic::count_interrupt<arrived>);
    apic::enable();
    test_device::set_msi(kMsiVector);
    check("signal msi", MAYFLY_TESTDEV_SIGNAL_MSI);
    check("irqfd", MAYFLY_TESTDEV_IRQFD);
    // The train's interrupts are a millisecond apart and end a HLT each.
    arrived = 0;
    out8(MAYFLY_TESTDEV_MSI_TRAIN, kCount);
    halt_for(arrived, 1, kArrivalMicroseconds);
    halt_for(arrived, kCount, kTrainMicroseconds);
    // On a busy host several become pending before this processor runs again, and merge.
    expect_between("from another thread", 1, kCount, arrived);
    // Interrupts still on their way do not count for the next train.
    for (u32 before = 0; before != arrived;) {
        before = arrived;
        halt_for(arrived, before + 1, kTrainMicroseconds);
    }
    arrived = 0;
    // A train that a busy host has not ended lets no other one start.
    bool is_there = false;
    for (u32 n = 0; n < kTrainsMax && !is_there; ++n) {
        out8(MAYFLY_TESTDEV_MSI_TRAIN, 1);
        is_there = halt_for(arrived, 1, kTrainMicroseconds);
    }
    expect("msi ends hlt", is_there);
    return failure_count();
}
