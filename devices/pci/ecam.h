// SPDX-License-Identifier: Apache-2.0
// Ecam: configuration space as 1 MiB of memory addresses, one page per function of bus 0.
//
// With a config window only writes come here. Needs no lock of the I/O bus.
// Spec: PCI Express Base Specification 3.0 §7.2.2 "PCI Express Enhanced Configuration Access Mechanism
// (ECAM)".
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "devices/pci/pci_bus.h"

namespace mayfly {

class Ecam final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = ConfigWindow::kEcamBytes;

    /// `bus` outlives the device.
    explicit Ecam(PciBus& bus) : bus_(bus) {}

    [[nodiscard]] std::string_view name() const override { return "pci-ecam"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    /// Resets the bus and all its functions.
    void reset() override { bus_.reset(); }

  private:
    PciBus& bus_;
};

}  // namespace mayfly
