// SPDX-License-Identifier: Apache-2.0
// The driver's side of a virtqueue, split or packed, with indirect descriptors and EVENT_IDX.
//
// All in guest RAM, so that ring 3 drives it; only a legacy doorbell needs ring 0's help. One thread.
// Spec: virtio 1.2 §2.6 "Split Virtqueues", §2.8 "Packed Virtqueues".
#pragma once

#include "firmware/guests/runtime/virtio_transport.h"

namespace guest::virtio {

struct Segment {
    u64 address;
    u32 size_bytes;
    bool is_writable;  ///< by the device
};

struct Completion {
    u16 token;
    u32 written_bytes;
};

struct QueueCounters {
    u64 rung = 0;
    u64 not_rung = 0;  ///< the device wanted no doorbell
};

class Virtqueue final {
  public:
    static constexpr u16 kSizeMax = 256;
    static constexpr u32 kSegmentsMax = 4;  ///< of an indirect chain

    /// Lays the rings out in fresh io_memory and enables the queue; interrupts are not wanted. `features` are
    /// the negotiated ones. False with a FAIL line when the device has no such queue.
    bool start(const Transport& transport, u16 index, u16 size_max, u64 features, u16 vector);

    /// Makes a chain available. `token` comes back with its completion. False when the ring is full.
    bool add(const Segment* segments, u32 count, u16 token);
    /// Rings unless the device said that it needs no doorbell for what was added. True when it rang.
    bool kick();
    /// Rings in any case.
    void ring() const { doorbell_.ring(index_); }
    /// The next completion, if there is one.
    bool take(Completion& completion);
    /// True: asks for an interrupt at the next completion. False: for none until a far one.
    void want_interrupts(bool wanted);

    [[nodiscard]] u16 size() const { return size_; }
    [[nodiscard]] u16 free_count() const { return free_count_; }
    [[nodiscard]] const QueueAddresses& addresses() const { return at_; }
    QueueCounters counters;

  private:
    void add_split(const Segment* segments, u32 count, u16 token);
    void add_packed(const Segment* segments, u32 count, u16 token);
    bool take_split(Completion& completion);
    bool take_packed(Completion& completion);
    [[nodiscard]] bool needs_doorbell() const;
    [[nodiscard]] bool needs_doorbell_packed() const;
    void defer_interrupts();
    void show_interrupt_wish() const;

    Doorbell doorbell_;
    QueueAddresses at_{};
    u64 tables_ = 0;  ///< indirect tables, one for each head; 0 without
    u16 index_ = 0;
    u16 size_ = 0;
    u16 mask_ = 0;
    bool is_packed_ = false;
    bool has_event_idx_ = false;
    bool wants_interrupts_ = false;

    u16 next_ = 0;       ///< split: available index, free-running; packed: the next place
    u16 last_used_ = 0;  ///< split: free-running; packed: the next place
    u16 kicked_ = 0;     ///< split: next_ at the last kick; packed: places added since
    u16 event_ = 0;      ///< split: the used_event that we wrote
    bool avail_wrap_ = false;
    bool used_wrap_ = false;
    u16 free_count_ = 0;
    u16 free_head_ = 0;
    u16 free_next_[kSizeMax]{};
    u16 tokens_[kSizeMax]{};
    u16 counts_[kSizeMax]{};  ///< places that the chain with this head or id takes
};

}  // namespace guest::virtio
