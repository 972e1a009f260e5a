// SPDX-License-Identifier: Apache-2.0
// ResetControl: the chipset's reset register, port 0xcf9.
//
// It lies inside the PCI configuration address register at 0xcf8: a byte access to 0xcf9 is for this device,
// a 4-byte access to 0xcf8 is not. The owner of 0xcf8 tells them apart.
//
// Thread: any, under the device's bus lock.
// Spec: Intel ICH9 (316972) §13.7.5 "RST_CNT--Reset Control Register".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class ResetControl final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 1;

    struct State {
        u8 rst_cnt = 0;
    };

    /// `verdicts` outlives the device.
    explicit ResetControl(VerdictSink& verdicts);

    [[nodiscard]] std::string_view name() const override { return "reset-control"; }
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
