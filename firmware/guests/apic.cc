// SPDX-License-Identifier: Apache-2.0
// apic: the local APIC in xAPIC mode, then in x2APIC mode: identity, priorities, a self-IPI, its
// EOI.
#include "firmware/guests/runtime/apic.h"

#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/report.h"

namespace guest {
namespace {

constexpr u32 kQuietMicroseconds = 50;
constexpr u32 kSelfIpiMsr = 0x83f;

constinit volatile u32 arrived = 0;
constinit volatile u32 in_service_seen = 0;

[[gnu::interrupt]] void on_ipi(InterruptFrame* /*frame*/) {
    arrived = arrived + 1;
    in_service_seen = apic::in_service_bank(kIpiVector);
    apic::end_of_interrupt();
}

u32 vector_bit(apic::Register bank) {
    const u32 offset = static_cast<u32>(bank) + (kIpiVector >> 5) * 0x10;
    return apic::read(static_cast<apic::Register>(offset)) >> (kIpiVector & 31) & 1;
}

/// A check's name behind its mode's.
class Named final {
  public:
    Named(Text mode, Text check) { line_.add(mode).add(check); }
    operator Text() const { return line_.text(); }  // NOLINT(google-explicit-constructor): it is a text

  private:
    Line line_;
};

void check_mode(Text mode) {
    arrived = 0;
    expect_between(Named(mode, "version"), 0x10, 0x15, apic::read(apic::Register::Version) & 0xff);
    expect_equal(Named(mode, "id"), 0, apic::id());

    // A task priority of the vector's own class holds it back; class 0 lets it through.
    apic::write(apic::Register::TaskPriority, kIpiVector & 0xf0);
    expect_equal(Named(mode, "ppr"), kIpiVector & 0xf0, apic::read(apic::Register::ProcessorPriority));
    apic::send_ipi(0, apic::kIcrFixed | apic::kIcrSelf | kIpiVector);
    listen_for(kQuietMicroseconds);
    expect_equal(Named(mode, "held by tpr"), 0, arrived);
    expect_equal(Named(mode, "irr"), 1, vector_bit(apic::Register::Request));
    apic::write(apic::Register::TaskPriority, 0);
    poll_for(arrived, 1, kArrivalMicroseconds);
    expect_equal(Named(mode, "self ipi"), 1, arrived);
    if (arrived == 0) {
        fail(Named(mode, "isr: no interrupt came"));
    } else if (in_service_seen == 0) {
        pass(Named(mode, "isr (host ends interrupts on delivery)"));
    } else {
        expect_equal(Named(mode, "isr"), 1U << (kIpiVector & 31), in_service_seen);
    }
    expect_equal(Named(mode, "eoi"), 0, vector_bit(apic::Register::InService));
    expect_equal(Named(mode, "svr"), 0x100 | kSpuriousVector,
                 apic::read(apic::Register::SpuriousVector) & 0x1ff);
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    set_gate(kIpiVector, on_ipi);
    // Base address, enabled, and the bootstrap processor's bit.
    constexpr u64 kExpectedBase = apic::kBaseAddress | apic::kBaseEnabled | 1 << 8;
    expect_equal("base", kExpectedBase, read_msr(apic::kBaseMsr));
    apic::enable_in(false);
    check_mode("xapic ");
    if (apic::has_x2apic()) {
        apic::enable_in(true);
        check_mode("x2apic ");
        write_msr(kSelfIpiMsr, kIpiVector);
        poll_for(arrived, 2, kArrivalMicroseconds);
        expect_equal("x2apic self ipi msr", 2, arrived);
        expect_equal("base unmoved", kExpectedBase | apic::kBaseX2Apic, read_msr(apic::kBaseMsr));
    } else {
        pass("x2apic (not offered)");
    }
    return failure_count();
}
