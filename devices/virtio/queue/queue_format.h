// SPDX-License-Identifier: Apache-2.0
// What VirtQueue and its two ring formats have in common. Thread: values.
#pragma once

#include <string_view>

#include "devices/virtio/queue/chain.h"
#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"

namespace mayfly {

struct QueueSetup {
    u16 size = 0;  ///< entries; split: a power of two
    Gpa descriptors;
    Gpa driver_area;  ///< available ring, or driver event suppression
    Gpa device_area;  ///< used ring, or device event suppression
    bool is_packed = false;
    bool has_event_idx = false;
    bool has_indirect = false;
};

/// A driver's mistake.
enum class WhyBroken : u8 {
    No,  ///< nothing
    AvailIdxTooFar,
    AvailIdxBackwards,
    IndexTooLarge,
    IndirectHasNext,
    ChainTooLong,
    TableOutside,
    TableIndexTooLarge,
    TableNested,
    IndirectInList,
    TooManyAvailable,
    EmptyDescriptor,
    TooManyParts,
    DescriptorOutside,
    ReadableAfterWritable,
    IndirectNotNegotiated,
    TableEmpty,
    TableLength,
    TableTooLong,
};
/// For one line of log; empty for No.
[[nodiscard]] std::string_view to_string(WhyBroken why);

/// The position of a running queue with nothing in flight and every pushed chain published.
struct QueuePlace {
    /// Of the next chain. Split: an index that runs freely; packed: as event suppression structures write it.
    u16 position = 0;
    WhyBroken why_broken = WhyBroken::No;

    friend bool operator==(const QueuePlace&, const QueuePlace&) = default;
};

enum class PopResult : u8 { Chain, Empty, Broken };

struct Popped {
    PopResult result = PopResult::Empty;
    Chain chain;  ///< of PopResult::Chain
};

/// Did an index pass `event` on its way from `before` to `now`? All three run freely.
/// virtio 1.2 §2.7.7.2 "Device Requirements: Used Buffer Notification Suppression".
[[nodiscard]] constexpr bool has_crossed(u16 event, u16 now, u16 before) {
    return static_cast<u16>(now - event - 1) < static_cast<u16>(now - before);
}

}  // namespace mayfly
