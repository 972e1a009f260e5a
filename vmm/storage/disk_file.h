// SPDX-License-Identifier: Apache-2.0
// DiskFile: a disk whose bytes are a raw file or block device.
//
// Before attach() every operation is a system call that returns when it is done. After it:
// - Reads and writes through the page cache are tried at once with RWF_NOWAIT, which is a copy; operations
// that would block go through the ring. So do many simultaneous reads, which then share one system call: from
// about four on that is cheaper (4 KiB: one takes 1.2 us at once and 2.0 by the ring; of 32, each 1.9
//   and 1.4).
// - Where the file system lacks NOWAIT (ext4 writes, tmpfs), io_uring would hand each operation to a worker
// thread; they are done here instead, as long as they are quick (SlowGate).
// - Flush, discard and write zeroes go through the ring, whose workers do them: io_uring has no other way.
// - O_DIRECT: through the ring. Unaligned operations go through a second descriptor of the same file without
// O_DIRECT: the page cache is its bounce buffer. The kernel keeps the two coherent: a direct read writes
//   back dirty pages first, a direct write drops pages. One fdatasync covers both.
// A flush covers every write that completed before it began. A write past the end of a truncated file extends
// it again; a read there is -EIO.
//
// Thread: as BlockBackend's. Destroyed after its loop.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>

#include "devices/virtio/block/block_backend.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/loop/loop.h"
#include "vmm/loop/task.h"
#include "vmm/storage/disk_open.h"
#include "vmm/storage/disk_request.h"
#include "vmm/storage/slow_gate.h"

namespace mayfly {

/// How operations were done, continuations included.
struct DiskCounts {
    u64 direct = 0;     ///< by a system call of the calling thread
    u64 by_ring = 0;    ///< reads and writes given to the ring
    u64 by_worker = 0;  ///< given to the ring although a worker thread of the kernel must do them
};

class DiskFile final : public BlockBackend, public Backend {
  public:
    /// Errors: as open_disk().
    static Result<std::unique_ptr<DiskFile>> open(const DiskOptions& options);
    /// Makes a disk of zeroes, in memory that is allocated when written. Errors: Os.
    static Result<std::unique_ptr<DiskFile>> in_memory(u64 size_bytes, u32 in_flight_max);
    ~DiskFile() override;

    /// Allocates what all operations need. Errors: as Loop::add_file().
    Result<void> attach(Loop& loop) override;
    /// Before attach(): nothing is tried at once. For measurements.
    void give_all_to_ring() { is_all_by_ring_ = true; }

    [[nodiscard]] BlockGeometry geometry() const override { return disk_.geometry; }
    [[nodiscard]] std::optional<i32> start(BlockIo& io) override;
    /// Like start(), but always through the loop once attached.
    [[nodiscard]] std::optional<i32> start_by_loop(BlockIo& io);
    void cancel_all() override;

    /// Thread: as start().
    [[nodiscard]] const DiskCounts& counts() const { return counts_; }

  private:
    friend class DiskRequest;
    class CancelTask;

    DiskFile(OpenDisk disk, u32 in_flight_max);

    // For DiskRequest.
    [[nodiscard]] Loop& loop() const { return *loop_.load(std::memory_order_relaxed); }
    [[nodiscard]] u32 file(bool is_direct) const { return is_direct ? direct_file_ : buffered_file_; }
    [[nodiscard]] u32 generation() const { return generation_.load(std::memory_order_acquire); }
    [[nodiscard]] bool is_aligned(const BlockIo& io, u64 done_bytes) const;
    void release(DiskRequest& request);

    [[nodiscard]] i32 do_now(BlockIo& io, u64 done_bytes);
    struct Attempt {
        std::optional<i32> result;
        u64 done_bytes = 0;  ///< without a result: where the rest begins, for the ring
    };
    [[nodiscard]] Attempt try_at_once(BlockIo& io);
    [[nodiscard]] Attempt try_without_waiting(BlockIo& io);
    [[nodiscard]] bool is_one_of_many_reads();
    [[nodiscard]] std::optional<i32> begin(BlockIo& io, u64 done_bytes);
    [[nodiscard]] bool needs_worker(const BlockIo& io, bool is_direct) const;
    void cancel_old();

    OpenDisk disk_;
    std::atomic<Loop*> loop_ = nullptr;
    u32 in_flight_max_;
    bool is_all_by_ring_ = false;
    u32 buffered_file_ = 0;
    u32 direct_file_ = 0;
    bool has_nowait_reads_ = true;  ///< until the file system says otherwise
    bool has_nowait_writes_ = true;
    u64 turn_ = 0;  ///< of the loop, of the latest read
    u32 reads_in_turn_ = 0;
    u32 reads_in_turn_before_ = 0;
    SlowGate read_gate_;
    SlowGate write_gate_;
    /// Incremented by each cancel_all(): operations that began before it are given up.
    std::atomic<u32> generation_ = 0;
    std::unique_ptr<CancelTask> cancel_task_;
    std::deque<DiskRequest> requests_;  ///< they cannot move
    DiskRequest* free_ = nullptr;
    DiskCounts counts_;
};

}  // namespace mayfly
