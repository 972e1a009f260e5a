// SPDX-License-Identifier: Apache-2.0
// ioapic: edge and level pins, remote IRR and EOI, masked pins. Needs the legacy profile and the
// test device.
#include "firmware/guests/runtime/apic.h"
#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/legacy.h"
#include "firmware/guests/runtime/test_device.h"

namespace guest {
namespace {

constexpr u32 kQuietMicroseconds = 50;
constexpr u16 kEdgePin = 10;
constexpr u16 kLevelPin = 11;

constinit volatile u32 edges = 0;
constinit volatile u32 levels = 0;
constinit volatile u32 entry_in_service = 0;
constinit volatile u32 in_service_seen = 0;

/// The first time the line stays high over the EOI, so that the IOAPIC has to deliver once more.
[[gnu::interrupt]] void on_level(InterruptFrame* /*frame*/) {
    levels = levels + 1;
    if (levels == 1) {
        entry_in_service = ioapic::read_pin(kLevelPin);
        in_service_seen = apic::in_service_bank(kSecondPinVector);
    }
    if (levels == 2) test_device::set_line(kLevelPin, false);
    apic::end_of_interrupt();
}

void check_edge() {
    ioapic::write_pin(kEdgePin, kPinVector);
    test_device::set_line(kEdgePin, true);
    poll_for(edges, 1, kArrivalMicroseconds);
    expect_equal("edge", 1, edges);
    listen_for(kQuietMicroseconds);
    expect_equal("edge held high", 1, edges);
    test_device::set_line(kEdgePin, false);
    test_device::set_line(kEdgePin, true);
    poll_for(edges, 2, kArrivalMicroseconds);
    expect_equal("edge again", 2, edges);
    test_device::set_line(kEdgePin, false);
    ioapic::write_pin(kEdgePin, kPinVector | ioapic::kMasked);
    test_device::set_line(kEdgePin, true);
    listen_for(kQuietMicroseconds);
    test_device::set_line(kEdgePin, false);
    expect_equal("edge masked", 2, edges);
}

void check_level() {
    ioapic::write_pin(kLevelPin, kSecondPinVector | ioapic::kLevel | ioapic::kMasked);
    test_device::set_line(kLevelPin, true);
    listen_for(kQuietMicroseconds);
    expect_equal("level masked", 0, levels);
    ioapic::write_pin(kLevelPin, kSecondPinVector | ioapic::kLevel);
    poll_for(levels, 2, kArrivalMicroseconds);
    listen_for(kQuietMicroseconds);
    if (levels == 0) return fail("level until lowered: no interrupt came");
    if (in_service_seen == 0) {
        // The line was still high when the host ended the second interrupt, so there is a third.
        expect_between("level until lowered (host ends interrupts on delivery)", 2, 3, levels);
        return;
    }
    expect_equal("level until lowered", 2, levels);
    expect_equal("remote irr in service", ioapic::kRemoteIrr, entry_in_service & ioapic::kRemoteIrr);
    expect_equal("remote irr after eoi", 0, ioapic::read_pin(kLevelPin) & ioapic::kRemoteIrr);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    test_device::require();
    set_gate(kPinVector, apic::count_interrupt<edges>);
    set_gate(kSecondPinVector, on_level);
    pic::initialize(kPicVector);
    apic::enable();
    const u32 version = ioapic::read(ioapic::kVersion);
    expect_equal("pins", 23, version >> 16 & 0xff);
    expect_equal("reset entry", ioapic::kMasked, ioapic::read_pin(kEdgePin));
    check_edge();
    check_level();
    return failure_count();
}
