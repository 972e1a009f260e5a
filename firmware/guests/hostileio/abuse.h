// SPDX-License-Identifier: Apache-2.0
// Ways of misusing a virtio device. Each leaves PCI configuration as it found it, and the device in any
// state.
#pragma once

#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/random.h"
#include "firmware/guests/runtime/virtio_transport.h"

namespace guest::hostile {

using virtio::Transport;

class Abuse final {
  public:
    Abuse(u64 seed, u64 end_of_memory) : random_(seed), end_of_memory_(end_of_memory) {}

    Random& random() { return random_; }

    /// Any values to the transport's registers, in any width.
    void scramble_registers(const Transport& device);
    /// Sensible steps of a driver's set-up, in any order.
    void scramble_order(const Transport& device);
    /// Any values to configuration space, except command and BARs.
    void scramble_config_space(const Transport& device);
    void scramble_msix(const Transport& device);
    /// BARs onto RAM, onto each other, onto interrupt controllers, and accesses there.
    void move_bars(const Transport& device);
    /// Queues with descriptors, rings and indirect tables of any content, changed while the device works.
    void scramble_rings(const Transport& device);

  private:
    /// Any address, for the device to read.
    u64 any_address();
    /// An address for the device to write: in scratch, or outside RAM.
    u64 writable_address();
    u32 any_size();
    void write_register(const Transport& device);
    void fill_rings(u64 descriptors, u64 driver_area, u32 size, bool is_packed);
    void fill_descriptor(u64 at, u32 size, bool is_packed);
    /// The `index`-th descriptor of a ring of well-formed chains: header, data, status byte.
    void fill_sound(u64 at, u32 index, u32 size, bool is_packed);
    void fill_scratch();
    void restore(pci::Function function, const u32* saved) const;

    Random random_;
    u64 end_of_memory_;
};

}  // namespace guest::hostile
