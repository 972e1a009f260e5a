// SPDX-License-Identifier: Apache-2.0
// I8042: the ports of a keyboard controller that this machine lacks; only its reset line works.
//
// Status 0xff means "no controller" to every driver that probes. A driver that does not probe and
// waits for a status bit to fall, without a limit or with a very large one (Linux waits 131 ms before each
// reset through this port), would be stuck: so one read of the status in 64 in a row answers 0.
//
// Thread: any, under the device's bus lock.
// Spec: IBM PC/AT Technical Reference (1984), "Keyboard Controller".
#pragma once

#include <string_view>

#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class I8042 final : public IoDevice {
  public:
    // Map one byte at port 0x60 with offset base 0, and one at port 0x64 with offset base 4.
    static constexpr u64 kDataOffset = 0;
    static constexpr u64 kCommandOffset = 4;
    /// Of so many reads of the status in a row, the last answers 0.
    static constexpr u8 kStuckReads = 64;

    struct State {
        bool expects_output_port = false;  // command 0xd1 was written; the next data byte is the output port
        u8 status_reads = 0;               // in a row, without a write in between
    };

    /// `verdicts` outlives the device.
    explicit I8042(VerdictSink& verdicts);

    [[nodiscard]] std::string_view name() const override { return "i8042"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    void write_data(u8 value);
    void write_command(u8 value);

    State state_;
    VerdictSink& verdicts_;
};

}  // namespace mayfly
