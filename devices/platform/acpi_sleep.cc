// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/acpi_sleep.h"

#include "devices/platform/acpi_power_spec.h"

namespace mayfly {

using namespace acpi_power;

AcpiSleep::AcpiSleep(u8 s5_type, VerdictSink& verdicts) : s5_type_(s5_type), verdicts_(verdicts) { reset(); }

void AcpiSleep::reset() { state_ = State{}; }

u64 AcpiSleep::io_read(IoAccess at) {
    if (at.size_bytes != 1) return all_ones(at.size_bytes);
    // SLP_EN is write-only and reads 0. WAK_STS stays 0: nothing sleeps here, so nothing wakes.
    return at.offset_bytes == kSleepControl ? state_.sleep_type : 0;
}

void AcpiSleep::io_write(IoAccess at, u64 value) {
    if (at.size_bytes != 1 || at.offset_bytes != kSleepControl) return;
    state_.sleep_type = static_cast<u8>(value) & kSleepTypeMask;
    if ((value & kSleepEnable) == 0) return;
    if (state_.sleep_type >> kSleepTypeShift == s5_type_) verdicts_.decide(Verdict::PowerOff, 0);
}

bool AcpiSleep::restore(const State& state) {
    if ((state.sleep_type & ~kSleepTypeMask) != 0) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
