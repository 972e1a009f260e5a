// SPDX-License-Identifier: Apache-2.0
// IoApic: an I/O APIC with one pin, which turns the rising edge of a device without MSIs into a message.
//
// A machine whose LAPICs alone are in the kernel has it for its serial port: an interrupt line costs such a
// guest nothing while it is quiet, and without one drivers poll, 16 characters every few milliseconds.
// Not modelled: level triggering (a level that stays high is delivered once) and polarity. The one device
// behind the pin makes edges, active high, and is announced so.
//
// Thread: any, under the device's bus lock. Spec: Intel ICH9 (316972) §13.5 "APIC Registers (D31:F0)".
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "devices/io/msi_port.h"
#include "vmm/error/ints.h"

namespace mayfly {

class IoApic final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 0x20;

    struct State {
        u32 id = 0;
        u8 index = 0;
        u32 entry_low = 0;
        u32 entry_high = 0;
        bool is_high = false;     ///< the pin
        bool is_pending = false;  ///< an edge came while it was masked
    };

    /// `messages` outlives the device; its vector 0 is the pin's.
    explicit IoApic(MsiPort& messages);

    [[nodiscard]] std::string_view name() const override { return "io-apic"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    /// Drives the pin.
    void set_pin(bool is_high);

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u32 read_register() const;
    void write_register(u32 value);
    void deliver();

    State state_;
    MsiPort& messages_;
};

}  // namespace mayfly
