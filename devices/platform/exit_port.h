// SPDX-License-Identifier: Apache-2.0
// ExitPort: a guest writes its verdict here. The machine turns the value into an exit status.
//
// Thread: any, under the device's bus lock.
// Spec: none; QEMU's isa-debug-exit, whose guests write 1, 2 or 4 bytes to the port itself.
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class ExitPort final : public IoDevice {
  public:
    /// The ports to map, so that a 4-byte write fits.
    static constexpr u64 kSizeBytes = 4;

    enum class Form : u8 {
        Value,  ///< a value written to the port itself, by one access
        Word,  ///< 32 bits, also piece by piece, as Linux's /dev/port writes them: the last byte completes it
    };

    struct State {
        u64 writes = 0;
        u32 word = 0;  ///< the bytes written so far
    };

    /// `verdicts` outlives the device.
    explicit ExitPort(VerdictSink& verdicts, Form form = Form::Value);

    [[nodiscard]] std::string_view name() const override { return "exit-port"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    VerdictSink& verdicts_;
    Form form_;
};

}  // namespace mayfly
