// SPDX-License-Identifier: Apache-2.0
// DiskRequest: one block operation on its way through the ring, continued until it is done.
// Thread: the loop's only.
#pragma once

#include <sys/uio.h>

#include "devices/virtio/block/block_backend.h"
#include "vmm/loop/operation.h"

namespace mayfly {

class DiskFile;

class DiskRequest final : public Operation {
  public:
    explicit DiskRequest(DiskFile& disk) : disk_(&disk) {}

    /// The position of a BlockIo after `done_bytes`.
    void begin(BlockIo& io, u64 done_bytes, u32 generation, bool is_direct);
    void on_complete(i32 result, bool has_more) override;

    [[nodiscard]] bool is_in_use() const { return io_ != nullptr; }
    [[nodiscard]] u32 generation() const { return generation_; }

    DiskRequest* next_free = nullptr;

  private:
    void submit();
    void finish(i32 result);
    [[nodiscard]] bool retries(i32 result);

    DiskFile* disk_;
    BlockIo* io_ = nullptr;
    u64 done_bytes_ = 0;
    u32 generation_ = 0;
    u8 retries_left_ = 0;
    bool is_direct_ = false;          ///< through the O_DIRECT descriptor
    bool is_writing_zeroes_ = false;  ///< the file cannot deallocate
    iovec last_zeroes_{};
};

}  // namespace mayfly
