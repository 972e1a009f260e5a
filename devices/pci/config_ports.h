// SPDX-License-Identifier: Apache-2.0
// ConfigPorts: configuration space by an address port (0xcf8) and a data port (0xcfc).
//
// Only 4-byte accesses reach the address register, so a PC's reset register at 0xcf9 fits inside it: a 1-byte
// access there goes to `reset_control`. Thread: any, under the device's I/O bus lock. Spec: PCI Local Bus
// Specification 3.0 §3.2.2.3.2 "Software Generation of Configuration Transactions".
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "devices/pci/pci_bus.h"

namespace mayfly {

class ConfigPorts final : public IoDevice {
  public:
    static constexpr u64 kPort = 0xcf8;
    static constexpr u64 kSizeBytes = 8;

    struct State {
        u32 address = 0;
    };

    /// Both outlive the device. `reset_control`, of one byte, may be null; otherwise it is reached through
    /// this device alone, whose lock then serves both.
    ConfigPorts(PciBus& bus, IoDevice* reset_control) : bus_(bus), reset_control_(reset_control) {}

    [[nodiscard]] std::string_view name() const override { return "pci-config-ports"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    PciBus& bus_;
    IoDevice* const reset_control_;
};

}  // namespace mayfly
