// SPDX-License-Identifier: Apache-2.0
// Pvpanic: the guest's kernel says that it crashed.
//
// A read tells which events are supported; a write reports them. "Panicked" ends the machine. "Crash loaded"
// says that a crash kernel takes over, so it is only logged.
//
// Thread: any, under the device's bus lock.
// Spec: QEMU docs/specs/pvpanic.rst "ISA Interface".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class Pvpanic final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 1;

    struct State {
        bool is_crash_loaded = false;
    };

    /// `verdicts` outlives the device.
    explicit Pvpanic(VerdictSink& verdicts);

    [[nodiscard]] std::string_view name() const override { return "pvpanic"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    VerdictSink& verdicts_;
};

}  // namespace mayfly
