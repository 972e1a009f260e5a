// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/acpi_pm1.h"

#include "devices/io/bytewise.h"
#include "devices/platform/acpi_power_spec.h"

namespace mayfly {

using namespace acpi_power;

namespace {

/// `word` with its low (even offset) or high (odd offset) byte replaced.
[[nodiscard]] u16 with_byte(u16 word, u64 offset, u8 value) {
    if (offset % 2 == 0) return static_cast<u16>((word & 0xff00) | value);
    return static_cast<u16>((word & 0x00ff) | (value << 8));
}

}  // namespace

AcpiPm1::AcpiPm1(u8 s5_type, VerdictSink& verdicts) : s5_type_(s5_type), verdicts_(verdicts) { reset(); }

void AcpiPm1::reset() { state_ = State{}; }

u64 AcpiPm1::io_read(IoAccess at) {
    return read_bytewise(at, [this](u64 offset) { return read_byte(offset); });
}

void AcpiPm1::io_write(IoAccess at, u64 value) {
    write_bytewise(at, value, [this](u64 offset, u8 byte) { write_byte(offset, byte); });
}

u8 AcpiPm1::read_byte(u64 offset) const {
    u16 word = 0;  // PM1 status
    if (offset >= kPm1Enable) word = state_.enable;
    // SCI_EN always reads 1: the machine starts in ACPI mode, and it lacks the SMM that would switch it.
    if (offset >= kPm1Control) word = state_.control | kSciEnable;
    return static_cast<u8>(offset % 2 == 0 ? word : word >> 8);
}

void AcpiPm1::write_byte(u64 offset, u8 value) {
    if (offset < kPm1Enable) return;
    if (offset < kPm1Control) {
        state_.enable = with_byte(state_.enable, offset, value) & kPm1EnableMask;
        return;
    }
    const u16 control = with_byte(state_.control, offset, value);
    state_.control = control & (kBmRld | kPm1SleepTypeMask);
    if ((control & kPm1SleepEnable) == 0) return;
    const u16 type = static_cast<u16>((control & kPm1SleepTypeMask) >> kPm1SleepTypeShift);
    // Type 0 is S5 in QEMU's tables. Unikernels and test scripts do not read the tables but write 0x2000
    // to port 0x604 and expect the machine to be gone.
    if (type == s5_type_ || type == 0) verdicts_.decide(Verdict::PowerOff, 0);
}

bool AcpiPm1::restore(const State& state) {
    if ((state.enable & ~kPm1EnableMask) != 0 || (state.control & ~(kBmRld | kPm1SleepTypeMask)) != 0)
        return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
