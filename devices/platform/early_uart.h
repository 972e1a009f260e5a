// SPDX-License-Identifier: Apache-2.0
// EarlyUart: the transmitter of a 16550 in memory, for what a kernel says before it has drivers.
//
// Its registers never change, so a guest may read them as memory: the line status always says that there is
// room. It neither receives nor interrupts, and a kernel that looks for UARTs does not find it: only the
// command line announces it.
//
// Thread: any, under the device's bus lock.
// Spec: PC16550D §8.0 "Registers"; Linux Documentation/admin-guide/kernel-parameters.txt "earlycon=uart8250".
#pragma once

#include <array>
#include <string_view>

#include "devices/io/byte_sink.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class EarlyUart final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 8;
    static constexpr u64 kTransmit = 0;
    /// The registers as a guest reads them. LSR: transmitter holding register and transmitter empty.
    static constexpr std::array<u8, kSizeBytes> kRegisters{0, 0, 0x01, 0, 0, 0x60, 0, 0};

    struct State {
        u64 bytes_out = 0;
    };

    /// `sink` outlives the device.
    explicit EarlyUart(ByteSink& sink) : sink_(sink) {}

    [[nodiscard]] std::string_view name() const override { return "early-uart"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override { state_ = State{}; }

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    ByteSink& sink_;
};

}  // namespace mayfly
