// SPDX-License-Identifier: Apache-2.0
// SystemControlA: port 0x92, the PS/2's quick ways to reset the processor and to open the gate of address
// line 20, which are what old kernels and boot loaders try first.
//
// The gate is open and stays so, whatever is written: what a guest wrote reads back, so a loop that waits for
// the bit ends. Thread: any, under the device's bus lock.
// Spec: Intel ICH9 (316972) §13.7.3 "PORT92--Fast A20 and Init Register".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class SystemControlA final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 1;

    struct State {
        u8 value = 0x02;  ///< as firmware leaves it: the gate is open
    };

    /// `verdicts` outlives the device.
    explicit SystemControlA(VerdictSink& verdicts) : verdicts_(verdicts) {}

    [[nodiscard]] std::string_view name() const override { return "system-control-a"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    State state_;
    VerdictSink& verdicts_;
};

}  // namespace mayfly
