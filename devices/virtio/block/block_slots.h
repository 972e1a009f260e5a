// SPDX-License-Identifier: Apache-2.0
// BlockSlots: the requests of one disk that are in flight, in memory that is touched only when it is needed.
//
// One slot per descriptor of all its queues, which is all that a driver may have in flight. Last in, first
// out, so that a guest that keeps few requests in flight touches few pages: what a disk costs is what its
// guest makes of it. Thread: under its device's lock.
#pragma once

#include <array>
#include <span>

#include <sys/uio.h>

#include "devices/virtio/block/block_backend.h"
#include "devices/virtio/block/block_request.h"
#include "devices/virtio/queue/chain.h"
#include "vmm/error/result.h"
#include "vmm/os/mapping.h"

namespace mayfly {

struct BlockSlot : BlockIo {
    /// What nearly every request fits in; more go to memory of their own.
    static constexpr std::size_t kPartsInside = 6;

    ChainToken token;
    u16 queue;
    u16 index;               ///< its own
    u16 next_free;           ///< index + 1 of the next free slot, 0: none
    u16 area;                ///< index + 1 of its memory for many parts, 0: none
    bool is_flush_next;      ///< WriteZeroes that must be on the medium before it is done
    u32 written_bytes;       ///< told to the driver on success
    void* status_at;         ///< guest memory, checked
    BlockSlot* next_in_run;  ///< what this operation does besides: the requests behind it on the disk
    // Of this request alone: `size_bytes` and `parts` are the operation's.
    u64 own_size_bytes;
    std::size_t own_part_count;
    std::array<iovec, kPartsInside> parts_inside;
};

class BlockSlots {
  public:
    static Result<BlockSlots> create(u32 slot_count, u32 chain_parts_max);

    /// Where a chain is popped to. Used again for the next one.
    [[nodiscard]] std::span<iovec> scratch() const { return scratch_; }
    /// A slot with a copy of `parts`; null when all are taken. At most kBlockSegmentsMax parts.
    [[nodiscard]] BlockSlot* take(std::span<const iovec> parts);
    void give_back(BlockSlot& slot);
    /// Whether its parts are inside it, so that it may be one of several in an operation.
    [[nodiscard]] static bool can_join(const BlockSlot& slot) {
        return slot.parts.size() <= BlockSlot::kPartsInside;
    }
    /// The parts of a slot that can_join(), as they came.
    [[nodiscard]] static std::span<iovec> own_parts(BlockSlot& slot) {
        return std::span(slot.parts_inside).first(slot.own_part_count);
    }
    /// Memory for the parts of an operation that begins with `slot`, which keeps its own inside.
    [[nodiscard]] std::span<iovec> parts_of_run(BlockSlot& slot) { return take_area(slot); }
    [[nodiscard]] u32 taken_count() const { return taken_count_; }
    /// Bytes of slots that were ever touched, for the test of what a disk costs.
    [[nodiscard]] u64 touched_bytes() const { return fresh_index_ * sizeof(BlockSlot); }

  private:
    BlockSlots(Mapping memory, u32 slot_count, u32 chain_parts_max);
    /// Memory for kPartsOutside parts, which goes back with the slot.
    [[nodiscard]] std::span<iovec> take_area(BlockSlot& slot);
    [[nodiscard]] std::span<iovec> area(u32 index) const;

    Mapping memory_;  // scratch, slots, then the parts that do not fit inside; pages appear when touched
    std::span<iovec> scratch_;
    BlockSlot* slots_ = nullptr;
    iovec* parts_outside_ = nullptr;
    u32 slot_count_ = 0;
    u32 taken_count_ = 0;
    u32 fresh_index_ = 0;  ///< slots from here on were never used
    u32 first_free_ = 0;   ///< index + 1, 0: none
    u32 fresh_area_ = 0;   ///< as of the slots: last in, first out, from one that was never used
    u32 first_free_area_ = 0;
};

}  // namespace mayfly
