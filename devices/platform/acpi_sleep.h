// SPDX-License-Identifier: Apache-2.0
// AcpiSleep: the sleep control and sleep status registers of a hardware-reduced ACPI machine.
//
// Only S5 exists here; entering it powers the machine off.
//
// Thread: any, under the device's bus lock.
// Spec: ACPI 6.5 §4.8.3.7 "Sleep Control and Status Registers".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class AcpiSleep final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 2;

    struct State {
        u8 sleep_type = 0;  // SLP_TYPx as last written, in place
    };

    /// `s5_type` is what the DSDT's \_S5 package says. `verdicts` outlives the device.
    AcpiSleep(u8 s5_type, VerdictSink& verdicts);

    [[nodiscard]] std::string_view name() const override { return "acpi-sleep"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    State state_;
    u8 s5_type_;
    VerdictSink& verdicts_;
};

}  // namespace mayfly
