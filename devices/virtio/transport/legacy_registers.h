// SPDX-License-Identifier: Apache-2.0
// LegacyRegisters: the I/O BAR of a transitional device, for drivers from before VIRTIO 1.0.
//
// Thread: under the core's mutex.
// Spec: virtio 1.2 §4.1.4.10 "Legacy Interfaces: A Note on PCI Device Layout"; §2.7.2 "Legacy Interfaces: A
// Note on Virtqueue Layout".
#pragma once

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class PciTransport;

class LegacyRegisters {
  public:
    explicit LegacyRegisters(PciTransport& transport) : transport_(transport) {}

    [[nodiscard]] u64 read(IoAccess at);
    void write(IoAccess at, u64 value);

  private:
    [[nodiscard]] u64 config_offset() const;
    [[nodiscard]] u64 read_register(u64 offset_bytes) const;
    void write_queue_address(u32 page);

    PciTransport& transport_;
};

}  // namespace mayfly
