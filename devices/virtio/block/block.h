// SPDX-License-Identifier: Apache-2.0
// Block: the virtio disk. It checks requests and answers them; its backend knows where the bytes are.
//
// Order: requests of a queue are started in order and end in any. A flush covers the writes that were
// answered before it came, on whichever queue; those still in flight may or may not be covered, and no driver
// may rely on it: "a VIRTIO_BLK_T_FLUSH request is sent after the write is completed". So requests do not
// wait for each other here. A driver that did not accept F_FLUSH could never make a write stable: so each of
// its writes is written through, as are those of a driver that accepted F_CONFIG_WCE and set `writeback` to
// 0.
//
// Allocates at create() only. Thread: as VirtioDevice and BlockIoClient say.
// Spec: virtio 1.2 §5.2 "Block Device", §5.2.6.2 "Device Requirements: Device Operation".
#pragma once

#include <array>
#include <memory>
#include <string>

#include "devices/virtio/block/block_backend.h"
#include "devices/virtio/block/block_slots.h"
#include "devices/virtio/block/block_spec.h"
#include "devices/virtio/token_bucket.h"
#include "devices/virtio/virtio_device.h"
#include "vmm/error/result.h"
#include "vmm/os/clock.h"

namespace mayfly {

/// Answered requests, by type.
struct BlockCounts {
    u64 reads = 0;
    u64 writes = 0;
    u64 flushes = 0;
    u64 discards = 0;
    u64 zeroes = 0;
    u64 errors = 0;  ///< requests that were not answered with S_OK
    u64 waits = 0;   ///< times that a rate limit made a request wait
    u64 joined = 0;  ///< requests that were done as part of the one before them
};

class Block final : public VirtioDevice, public BlockIoClient {
  public:
    static constexpr u16 kQueuesMax = 16;
    static constexpr u16 kQueueSizeMin = 4;

    struct Options {
        std::string name;                    ///< "disk0"
        std::string id = {};                 ///< for GET_ID: ASCII, at most 20 bytes
        u16 queue_count = 1;                 ///< 1 to 16
        u16 queue_size = 256;                ///< a power of two, 4 to 1024
        RateLimit requests_per_second = {};  ///< those that reach the backend
        RateLimit bytes_per_second = {};     ///< read and written
        u64 (*now_ns)() = monotonic_ns;
    };

    /// The backend outlives the device. Errors: an option outside its limits; no memory.
    static Result<std::unique_ptr<Block>> create(Options options, BlockBackend& backend);

    [[nodiscard]] std::string_view name() const override { return options_.name; }
    [[nodiscard]] u16 device_id() const override;
    [[nodiscard]] u64 features() const override { return features_offered_; }
    [[nodiscard]] std::span<const u16> queue_sizes() const override;
    [[nodiscard]] bool needs_io_thread() const override { return false; }
    [[nodiscard]] std::span<const std::byte> config() const override;
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override;
    void start(u64 features, DeviceHost& host) override;
    [[nodiscard]] Progress process(u16 queue, u32 budget) override;
    [[nodiscard]] u32 in_flight() const override { return slots_.taken_count(); }
    void cancel() override { backend_.cancel_all(); }
    void stop() override;

    void on_block_io_done(BlockIo& io, i32 result) override;

    /// Under the device's lock.
    [[nodiscard]] const BlockCounts& counts() const { return counts_; }
    [[nodiscard]] const BlockSlots& slots() const { return slots_; }

    /// The part that neither the disk nor the options determine. Limits by their levels, in tokens.
    struct State {
        bool is_write_back = true;
        bool has_failed = false;
        i64 requests_level = 0;
        i64 bytes_level = 0;
    };
    /// Under the lock, while the device is paused. restore() needs a device that has been started if the
    /// saved one had been.
    [[nodiscard]] State save();
    void restore(const State& state);

  private:
    Block(Options options, BlockBackend& backend, BlockSlots slots);

    /// False: no more requests may be taken now.
    [[nodiscard]] Progress take_requests(u16 queue, u32 budget);
    [[nodiscard]] bool serve(u16 queue, Chain& chain);
    void begin(u16 queue, const Chain& chain, const BlockRequest& request);
    /// An operation for this request alone, which others may join until it is started.
    [[nodiscard]] BlockRun& make_run(BlockSlot& slot);
    [[nodiscard]] bool join_run(BlockSlot& slot);
    void start_run();
    void start_alone(BlockRun& failed);
    /// Continues the run after an operation that ended with `result`. False: the run is still in flight.
    [[nodiscard]] bool advance(BlockRun& run, std::optional<i32> result);
    void finish(BlockSlot& slot, i32 result);
    void answer(u16 queue, ChainToken token, void* status_at, u8 status, u32 written_bytes);
    void identify(const BlockRequest& request);
    void count(BlockIoKind kind);
    [[nodiscard]] std::optional<u64> wait_until(const BlockRequest& request);
    [[nodiscard]] bool is_write_through() const;
    void fail(std::string_view why);

    Options options_;
    BlockBackend& backend_;
    BlockSlots slots_;
    std::array<u16, kQueuesMax> queue_sizes_{};
    u64 features_offered_ = 0;
    TokenBucket requests_limit_;  // both survive a reset: it must not be a way around a limit
    TokenBucket bytes_limit_;
    BlockCounts counts_;
    u64 served_bytes_ = 0;  // by this call of process()

    BlockRun* run_ = nullptr;  ///< what the requests of this call of process() join; not started yet

    DeviceHost* host_ = nullptr;  // between start() and stop()
    BlockRules rules_;

    struct Active {
        blk::Config config{};
        u64 features = 0;         ///< accepted
        bool has_failed = false;  ///< nothing is taken from any queue until a reset
    } active_;
};

}  // namespace mayfly
