// SPDX-License-Identifier: Apache-2.0
// ReceiveWindow: the receive buffers that were taken from a ring and wait for a frame.
//
// A frame's size shows only once it was read, so with merged buffers each read needs room for the largest
// one. The buffers that a frame did not need stay here: a small frame then costs one chain, not all those of
// 64 KiB. Thread: under its device's lock.
// Spec: virtio 1.2 §5.1.6.3 "Setting Up Receive Buffers", §5.1.6.4 "Processing of Incoming Packets".
#pragma once

#include <memory>
#include <span>
#include <type_traits>

#include "devices/virtio/queue/queue.h"

namespace mayfly {

class ReceiveWindow {
  public:
    enum class Added : u8 {
        Yes,
        RingEmpty,
        RingBroken,
        Unfit,  ///< not a receive buffer: it has readable parts, or less room than a header
    };

    ReceiveWindow();

    [[nodiscard]] bool is_empty() const { return chain_count_ == 0; }
    /// No more chains are taken: one readv could not use them.
    [[nodiscard]] bool is_full() const;
    [[nodiscard]] u64 room_bytes() const { return room_bytes_; }
    /// Where the next frame goes.
    [[nodiscard]] std::span<const iovec> parts() const;

    /// Takes one chain from the ring. Not when full.
    [[nodiscard]] Added add(VirtQueue& ring, u64 bytes_min);
    /// How many chains a frame of this size fills.
    [[nodiscard]] u16 chains_for(u64 frame_bytes) const;
    /// Pushes those, with what each holds. `frame_bytes` <= room_bytes().
    void push(VirtQueue& ring, u64 frame_bytes);
    /// Gives all of them back to the ring, unused.
    void give_back(VirtQueue& ring);
    /// The ring was reset: its chains belong to the driver again.
    void clear();

  private:
    /// One less than readv takes: a backend adds a part in order to see that a frame was cut.
    static constexpr u32 kPartsPerReadMax = 1023;
    static constexpr u32 kPartsPerChainMax = VirtQueue::kSizeMax;
    static constexpr u32 kPartsMax = 2 * kPartsPerChainMax;
    static constexpr u32 kChainsMax = VirtQueue::kSizeMax;

    /// Of plain fields: nothing writes slots that are not used yet, so their pages stay unallocated.
    struct Held {
        u64 bytes;
        u16 id;
        u16 descriptor_count;
        u16 part_count;
        [[nodiscard]] ChainToken token() const { return {.id = id, .descriptor_count = descriptor_count}; }
    };
    static_assert(std::is_trivially_default_constructible_v<Held>);

    void make_room();

    std::unique_ptr<iovec[]> parts_;
    u32 part_begin_ = 0;
    u32 part_end_ = 0;
    std::unique_ptr<Held[]> chains_;  ///< a ring of kChainsMax
    u32 chain_begin_ = 0;
    u32 chain_count_ = 0;
    u64 room_bytes_ = 0;
};

}  // namespace mayfly
