// SPDX-License-Identifier: Apache-2.0
// What virtqueues look like in memory, by the specification's names. Every field is little-endian.
//
// Spec: virtio 1.2 §2.7 "Split Virtqueues", §2.8 "Packed Virtqueues".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio {

constexpr u64 DESC_BYTES = 16;
constexpr u64 DESC_ALIGNMENT = 16;
constexpr u16 DESC_F_NEXT = 1;
constexpr u16 DESC_F_WRITE = 2;
constexpr u16 DESC_F_INDIRECT = 4;

// §2.7.5 "The Virtqueue Descriptor Table"
struct SplitDescriptor {
    u64 addr;
    u32 len;
    u16 flags;
    u16 next;
};
static_assert(sizeof(SplitDescriptor) == DESC_BYTES);

// §2.7.6 "The Virtqueue Available Ring"
constexpr u64 AVAIL_FLAGS = 0;
constexpr u64 AVAIL_IDX = 2;
constexpr u64 AVAIL_RING = 4;  ///< u16 each
constexpr u64 AVAIL_ELEMENT_BYTES = 2;
constexpr u64 EVENT_IDX_BYTES = 2;  ///< used_event and avail_event, present even when not negotiated
[[nodiscard]] constexpr u64 used_event_at(u64 size) { return AVAIL_RING + AVAIL_ELEMENT_BYTES * size; }
[[nodiscard]] constexpr u64 avail_bytes(u64 size) { return used_event_at(size) + EVENT_IDX_BYTES; }
constexpr u64 AVAIL_ALIGNMENT = 2;
constexpr u16 AVAIL_F_NO_INTERRUPT = 1;

// §2.7.8 "The Virtqueue Used Ring"
constexpr u64 USED_FLAGS = 0;
constexpr u64 USED_IDX = 2;
constexpr u64 USED_RING = 4;  ///< {u32 id, u32 len} each
constexpr u64 USED_ELEMENT_BYTES = 8;
constexpr u64 USED_ELEMENT_ID = 0;
constexpr u64 USED_ELEMENT_LEN = 4;
[[nodiscard]] constexpr u64 avail_event_at(u64 size) { return USED_RING + USED_ELEMENT_BYTES * size; }
[[nodiscard]] constexpr u64 used_bytes(u64 size) { return avail_event_at(size) + EVENT_IDX_BYTES; }
constexpr u64 USED_ALIGNMENT = 4;
constexpr u16 USED_F_NO_NOTIFY = 1;

// §2.8.13 "The Virtqueue Descriptor Format"
struct PackedDescriptor {
    u64 addr;
    u32 len;
    u16 id;
    u16 flags;
};
static_assert(sizeof(PackedDescriptor) == DESC_BYTES);
constexpr u64 DESC_LEN_ID_FLAGS = 8;  ///< the second half of a descriptor, which is one word to us
constexpr u32 DESC_ID_SHIFT = 32;     ///< in that word
constexpr u32 DESC_FLAGS_SHIFT = 48;
constexpr u64 DESC_FLAGS = 14;
constexpr u16 DESC_F_AVAIL = 1U << 7;
constexpr u16 DESC_F_USED = 1U << 15;

// §2.8.14 "Event Suppression Structure Format": {u16 offset and wrap, u16 flags}, one word to us
constexpr u64 EVENT_BYTES = 4;
constexpr u32 EVENT_FLAGS_SHIFT = 16;
constexpr u64 EVENT_ALIGNMENT = 4;
constexpr u16 EVENT_WRAP = 1U << 15;
constexpr u16 RING_EVENT_FLAGS_ENABLE = 0;
constexpr u16 RING_EVENT_FLAGS_DISABLE = 1;
constexpr u16 RING_EVENT_FLAGS_DESC = 2;
constexpr u16 RING_EVENT_FLAGS_MASK = 3;

}  // namespace mayfly::virtio
