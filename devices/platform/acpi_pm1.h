// SPDX-License-Identifier: Apache-2.0
// AcpiPm1: the PM1a event and control blocks of an ACPI machine with fixed hardware (profile legacy).
//
// The machine has no power button, sleep button, RTC alarm or PM timer wired to it, so no status bit is
// ever set, no SCI is ever raised, and clearing by a write of one has nothing to clear.
//
// Thread: any, under the device's bus lock.
// Spec: ACPI 6.5 §4.8.3.1 "PM1 Event Grouping", §4.8.3.2 "PM1 Control Grouping".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class AcpiPm1 final : public IoDevice {
  public:
    /// Event block at offset 0 (status, enable), control block at offset 4.
    static constexpr u64 kSizeBytes = 6;

    struct State {
        u16 enable = 0;
        u16 control = 0;  // without SCI_EN and SLP_EN
    };

    /// `s5_type` is what the DSDT's \_S5 package says. `verdicts` outlives the device.
    AcpiPm1(u8 s5_type, VerdictSink& verdicts);

    [[nodiscard]] std::string_view name() const override { return "acpi-pm1"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u8 read_byte(u64 offset) const;
    void write_byte(u64 offset, u8 value);

    State state_;
    u8 s5_type_;
    VerdictSink& verdicts_;
};

}  // namespace mayfly
