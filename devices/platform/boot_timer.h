// SPDX-License-Identifier: Apache-2.0
// BootTimer: Firecracker's boot timer, so that guests prepared for its benchmarks are timed here as well.
//
// One device for both places where Firecracker put its timer: an MMIO page, and earlier port 0x3f0.
//
// Thread: any, under the device's bus lock.
// Spec: none; Firecracker's pseudo device takes one-byte writes of 123 at offset 0 and ignores all else.
#pragma once

#include <string_view>

#include "devices/io/boot_mark.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class BootTimer final : public IoDevice {
  public:
    static constexpr u64 kMmioSizeBytes = 0x1000;
    /// Firecracker's port before it moved the timer to MMIO.
    static constexpr u16 kPort = 0x3f0;
    static constexpr u64 kPortSizeBytes = 1;

    struct State {
        u64 marks = 0;
    };

    /// `marks` outlives the device.
    explicit BootTimer(BootMarkSink& marks);

    [[nodiscard]] std::string_view name() const override { return "boot-timer"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    BootMarkSink& marks_;
};

}  // namespace mayfly
