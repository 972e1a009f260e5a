// SPDX-License-Identifier: Apache-2.0
// DebugConsole: the "port E9 hack" of Bochs and QEMU: characters written to the port appear on the host,
// without any set-up.
//
// Thread: any, under the device's bus lock.
// Spec: none; Bochs' port_e9_hack, QEMU's isa-debugcon. A read returns 0xe9, by which guests detect the port.
#pragma once

#include <string_view>

#include "devices/io/byte_sink.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class DebugConsole final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 1;

    struct State {
        u64 bytes_out = 0;
    };

    /// `sink` outlives the device.
    explicit DebugConsole(ByteSink& sink);

    [[nodiscard]] std::string_view name() const override { return "debug-console"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    ByteSink& sink_;
};

}  // namespace mayfly
