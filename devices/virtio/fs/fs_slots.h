// SPDX-License-Identifier: Apache-2.0
// FsSlots: the requests of one queue that are in flight, in memory that is touched only when it is needed.
//
// Last in, first out, so that a guest that keeps few requests in flight touches few pages; and of a slot,
// only the pages that its chain's parts fill. Thread: under its device's lock.
#pragma once

#include <array>

#include <sys/uio.h>

#include "devices/virtio/fs/fs_backend.h"
#include "devices/virtio/queue/chain.h"
#include "vmm/error/result.h"
#include "vmm/memory/wire.h"
#include "vmm/os/mapping.h"

namespace mayfly {

/// One request. Its chain is popped to its own parts, which stay until it is answered.
struct FsSlot : FsIo {
    static constexpr std::size_t kBytes = KiB(20);
    /// More than a queue has entries: one range of guest memory may be two of host memory.
    static constexpr std::size_t kPartsMax = kBytes / sizeof(iovec) - 8;

    u16 queue;
    u16 index;      ///< its own
    u16 next_free;  ///< index + 1 of the next free slot, 0: none
    ChainToken token;
    std::array<iovec, kPartsMax> parts;
};
static_assert(sizeof(FsSlot) <= FsSlot::kBytes);

class FsSlots {
  public:
    /// Errors: no memory.
    static Result<FsSlots> create(u16 slot_count);

    /// Null when all are taken.
    [[nodiscard]] FsSlot* take();
    void give_back(FsSlot& slot);
    [[nodiscard]] u32 taken_count() const { return taken_count_; }
    /// The largest number ever taken at a time, for a test of a share's memory.
    [[nodiscard]] u32 touched_count() const { return fresh_index_; }

  private:
    FsSlots(Mapping memory, u16 slot_count) : memory_(std::move(memory)), slot_count_(slot_count) {}
    [[nodiscard]] FsSlot* at(u32 index) const;

    Mapping memory_;  // pages appear when touched
    u32 slot_count_;
    u32 taken_count_ = 0;
    u32 fresh_index_ = 0;  // slots from here on were never used
    u32 first_free_ = 0;   // index + 1, 0: none
};

}  // namespace mayfly
