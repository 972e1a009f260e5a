// SPDX-License-Identifier: Apache-2.0
// The checks of the 8259 pair.
#include "firmware/guests/runtime/pic_checks.h"

#include "firmware/guests/runtime/clock.h"

namespace guest::pic_checks {

constinit volatile u32 master_count = 0;

namespace {

constexpr u32 kQuietMicroseconds = 50;
constexpr u16 kCascade = 1 << 2;
constexpr u16 kMasterUnmasked = 0xffff & ~(1 << kMasterIrq) & ~kCascade;
constexpr u16 kSlaveUnmasked = 0xffff & ~(1 << kSlaveIrq) & ~kCascade;

constinit volatile u32 slave_count = 0;
constinit volatile u32 spurious_count = 0;
constinit volatile u8 master_in_service = 0;
constinit volatile u8 slave_in_service = 0;
constinit volatile u8 spurious_in_service = 0;

[[gnu::interrupt]] void on_master(InterruptFrame* /*frame*/) {
    master_count = master_count + 1;
    master_in_service = pic::read_register(pic::kMaster, pic::kReadInService);
    pic::end_of_interrupt(pic::kMaster);
}

[[gnu::interrupt]] void on_slave(InterruptFrame* /*frame*/) {
    slave_count = slave_count + 1;
    slave_in_service = pic::read_register(pic::kSlave, pic::kReadInService);
    master_in_service = pic::read_register(pic::kMaster, pic::kReadInService);
    pic::end_of_interrupt(pic::kSlave);
    pic::end_of_interrupt(pic::kMaster);
}

/// IRQ 7 without a bit in service: an 8259 sends it when the request went away. It takes no EOI.
[[gnu::interrupt]] void on_spurious(InterruptFrame* /*frame*/) {
    spurious_count = spurious_count + 1;
    spurious_in_service = pic::read_register(pic::kMaster, pic::kReadInService);
}

void check_cascade() {
    pic::set_mask(kMasterUnmasked);
    expect_equal("imr reads back", kMasterUnmasked & 0xff, in8(pic::kMaster + 1));
    test_device::set_line(kMasterIrq, true);
    poll_for(master_count, 1, kArrivalMicroseconds);
    expect_equal("master irq", 1, master_count);
    expect_equal("master in service", 1 << kMasterIrq, master_in_service);
    expect_equal("master after eoi", 0, pic::read_register(pic::kMaster, pic::kReadInService));
    test_device::set_line(kMasterIrq, false);

    pic::set_mask(kSlaveUnmasked);
    test_device::set_line(kSlaveIrq, true);
    poll_for(slave_count, 1, kArrivalMicroseconds);
    expect_equal("slave irq", 1, slave_count);
    expect_equal("slave in service", 1 << (kSlaveIrq - 8), slave_in_service);
    expect_equal("cascade in service", kCascade, master_in_service);
    test_device::set_line(kSlaveIrq, false);
}

void check_mask() {
    pic::set_mask(0xffff);
    test_device::set_line(kMasterIrq, true);
    listen_for(kQuietMicroseconds);
    expect_equal("masked", 1, master_count);
    const u8 requests = pic::read_register(pic::kMaster, pic::kReadRequests);
    expect_equal("masked request", 1 << kMasterIrq, requests & 1 << kMasterIrq);
    pic::set_mask(kMasterUnmasked);
    poll_for(master_count, 2, kArrivalMicroseconds);
    expect_equal("unmasked", 2, master_count);
    test_device::set_line(kMasterIrq, false);
}

/// Masking a request that the CPU has not taken yet leaves nothing, or a spurious IRQ 7 with no bit
/// in service.
void check_withdrawn() {
    test_device::set_line(kMasterIrq, true);
    pic::set_mask(0xffff);
    test_device::set_line(kMasterIrq, false);
    listen_for(kQuietMicroseconds);
    expect_equal("withdrawn", 2, master_count);
    expect_equal("spurious in service", 0, spurious_in_service & 0x80);
}

}  // namespace

void run() {
    set_gate(kPicVector + kMasterIrq, on_master);
    set_gate(kPicVector + kSlaveIrq, on_slave);
    set_gate(kPicVector + 7, on_spurious);
    pic::initialize(kPicVector);
    check_cascade();
    check_mask();
    check_withdrawn();
}

void expect_silence(Text name) {
    pic::initialize(kPicVector);
    const u32 before = master_count;
    pic::set_mask(kMasterUnmasked);
    test_device::set_line(kMasterIrq, true);
    listen_for(kQuietMicroseconds);
    pic::set_mask(0xffff);
    test_device::set_line(kMasterIrq, false);
    expect_equal(name, before, master_count);
}

}  // namespace guest::pic_checks
