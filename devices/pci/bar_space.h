// SPDX-License-Identifier: Apache-2.0
// PciMemory and PciIo: all of memory and I/O space, since a BAR may be anywhere. To be mapped behind every
// device that has a fixed address.
//
// offset_bytes is the absolute address. They have no state and need no lock of the I/O bus.
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "devices/pci/pci_bus.h"

namespace mayfly {

class PciMemory final : public IoDevice {
  public:
    /// `bus` outlives the device.
    explicit PciMemory(PciBus& bus) : bus_(bus) {}

    [[nodiscard]] std::string_view name() const override { return "pci-memory"; }
    [[nodiscard]] u64 io_read(IoAccess at) override { return bus_.bar_read(BarKind::Memory32, at); }
    void io_write(IoAccess at, u64 value) override { bus_.bar_write(BarKind::Memory32, at, value); }
    void reset() override {}

  private:
    PciBus& bus_;
};

class PciIo final : public IoDevice {
  public:
    /// `bus` outlives the device.
    explicit PciIo(PciBus& bus) : bus_(bus) {}

    [[nodiscard]] std::string_view name() const override { return "pci-io"; }
    [[nodiscard]] u64 io_read(IoAccess at) override { return bus_.bar_read(BarKind::Io, at); }
    void io_write(IoAccess at, u64 value) override { bus_.bar_write(BarKind::Io, at, value); }
    void reset() override {}

  private:
    PciBus& bus_;
};

}  // namespace mayfly
