// SPDX-License-Identifier: Apache-2.0
// doorbell: ioeventfd to irqfd without a return to user space, and coalesced port writes.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/test_device.h"

namespace guest {
namespace {

constexpr u32 kDoorbells = 16;
constexpr u32 kWrites = 20;

constinit volatile u32 arrived = 0;

void check_loopback() {
    u8 status = test_device::act(MAYFLY_TESTDEV_LOOPBACK_ON);
    if (status != 0) return expect_equal("loopback on", 0, status);
    const u32 before = in32(MAYFLY_TESTDEV_DOORBELL_COUNT);
    for (u32 n = 1; n <= kDoorbells; ++n) {
        out8(MAYFLY_TESTDEV_DOORBELL, 1);
        if (!halt_for(arrived, n, kArrivalMicroseconds)) break;
    }
    expect_equal("doorbells answered", kDoorbells, arrived);
    expect_equal("doorbells in user space", 0, in32(MAYFLY_TESTDEV_DOORBELL_COUNT) - before);
    status = test_device::act(MAYFLY_TESTDEV_LOOPBACK_OFF);
    expect_equal("loopback off", 0, status);
    out8(MAYFLY_TESTDEV_DOORBELL, 1);
    out16(MAYFLY_TESTDEV_DOORBELL, 1);
    out32(MAYFLY_TESTDEV_DOORBELL, 1);
    expect_equal("doorbells when off", 3, in32(MAYFLY_TESTDEV_DOORBELL_COUNT) - before);
}

void check_coalesced() {
    u8 status = test_device::act(MAYFLY_TESTDEV_COALESCE_ON);
    if (status != 0) return expect_equal("coalesce on", 0, status);
    const u32 writes = in32(MAYFLY_TESTDEV_COALESCED_WRITES);
    const u32 sum = in32(MAYFLY_TESTDEV_COALESCED_SUM);
    const u32 returns = in32(MAYFLY_TESTDEV_COALESCED_RETURNS);
    for (u32 n = 1; n <= kWrites; ++n) out8(MAYFLY_TESTDEV_COALESCED, static_cast<u8>(n));
    expect_equal("coalesced writes", kWrites, in32(MAYFLY_TESTDEV_COALESCED_WRITES) - writes);
    expect_equal("coalesced sum", kWrites * (kWrites + 1) / 2, in32(MAYFLY_TESTDEV_COALESCED_SUM) - sum);
    const u32 batches = in32(MAYFLY_TESTDEV_COALESCED_RETURNS) - returns;
    expect_between("coalesced returns", 1, kWrites - 1, batches);
    status = test_device::act(MAYFLY_TESTDEV_COALESCE_OFF);
    expect_equal("coalesce off", 0, status);
    out8(MAYFLY_TESTDEV_COALESCED, 1);
    out8(MAYFLY_TESTDEV_COALESCED, 1);
    const u32 singles = in32(MAYFLY_TESTDEV_COALESCED_RETURNS) - returns - batches;
    expect_equal("returns when off", 2, singles);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    test_device::require();
    set_gate(kMsiVector, apic::count_interrupt<arrived>);
    apic::enable();
    test_device::set_msi(kMsiVector);
    check_loopback();
    check_coalesced();
    return failure_count();
}
