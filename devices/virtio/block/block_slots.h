// SPDX-License-Identifier: Apache-2.0
// BlockSlots: the requests of one disk that are in flight, in memory that is touched only when it is needed.
//
// One slot per descriptor of all its queues: a driver cannot have more in flight. Last in, first out, so that
// a guest with few requests in flight touches few pages: a disk costs only the memory that its guest uses.
// Thread: under its device's lock.
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

struct BlockSlot;

/// One operation of the backend, for one request or for several that are adjacent on the disk.
struct BlockRun : BlockIo {
    BlockSlot* first;  ///< its requests, by their next_in_run
    BlockSlot* last;
    u32 part_count;      ///< of all of them
    u16 area;            ///< index + 1 of its area for many parts, 0: none
    bool is_flush_next;  ///< WriteZeroes that must be on the medium before it is done
};

/// One request. Its fields do not change until it is answered; its progress is in its run.
struct BlockSlot {
    /// Enough parts for nearly every request; more parts go to an area.
    static constexpr std::size_t kPartsInside = 6;

    BlockIoKind kind;
    bool may_unmap;
    bool must_be_stable;  ///< Write and WriteZeroes: on the medium before it is done
    u16 part_count;
    u64 offset_bytes;
    u64 size_bytes;
    ChainToken token;
    u16 queue;
    u16 index;               ///< its own
    u16 next_free;           ///< index + 1 of the next free slot, 0: none
    void* status_at;         ///< guest memory, checked
    BlockSlot* next_in_run;  ///< the next request on the disk that the same operation serves
    BlockRun run;  ///< the operation that begins with this request; unused when it joined another run
    std::array<iovec, kPartsInside> parts_inside;
};

class BlockSlots {
  public:
    static Result<BlockSlots> create(u32 slot_count, u32 chain_parts_max);

    /// Where a chain is popped to. Reused for the next chain.
    [[nodiscard]] std::span<iovec> scratch() const { return scratch_; }
    /// A slot with a copy of `parts`; null when all are taken. At most kBlockSegmentsMax parts.
    [[nodiscard]] BlockSlot* take(std::span<const iovec> parts);
    void give_back(BlockSlot& slot);
    /// Whether its parts are inside the slot, so that it may join an operation with others.
    [[nodiscard]] static bool can_join(const BlockSlot& slot) {
        return slot.part_count <= BlockSlot::kPartsInside;
    }
    /// Unchanged, until an operation for this request alone changes them.
    [[nodiscard]] std::span<iovec> parts_of(BlockSlot& slot) const {
        return (can_join(slot) ? std::span<iovec>(slot.parts_inside) : area(slot.run)).first(slot.part_count);
    }
    /// A copy of the parts of all its requests, of which there are several that can_join().
    [[nodiscard]] std::span<iovec> gather_parts(BlockRun& run);
    [[nodiscard]] u32 taken_count() const { return taken_count_; }
    /// Bytes of slots that were ever touched, for a test of a disk's memory.
    [[nodiscard]] u64 touched_bytes() const { return fresh_index_ * sizeof(BlockSlot); }

  private:
    BlockSlots(Mapping memory, u32 slot_count, u32 chain_parts_max);
    /// Memory for kPartsOutside parts, which goes back with the first slot.
    [[nodiscard]] std::span<iovec> take_area(BlockRun& run);
    [[nodiscard]] std::span<iovec> area(u32 index) const;
    [[nodiscard]] std::span<iovec> area(const BlockRun& run) const { return area(run.area - 1U); }

    Mapping memory_;  // scratch, slots, then the parts that do not fit inside; pages appear when touched
    std::span<iovec> scratch_;
    BlockSlot* slots_ = nullptr;
    iovec* parts_outside_ = nullptr;
    u32 slot_count_ = 0;
    u32 taken_count_ = 0;
    u32 fresh_index_ = 0;  ///< slots from here on were never used
    u32 first_free_ = 0;   ///< index + 1, 0: none
    u32 fresh_area_ = 0;   ///< as for slots: areas from here on were never used
    u32 first_free_area_ = 0;
};

}  // namespace mayfly
