// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

namespace {

u64 features_of(const BlockGeometry& disk, u16 queue_count) {
    u64 features = blk::F_SIZE_MAX | blk::F_SEG_MAX | blk::F_BLK_SIZE | blk::F_FLUSH | blk::F_TOPOLOGY |
                   blk::F_CONFIG_WCE;
    if (queue_count > 1) features |= blk::F_MQ;
    if (disk.is_read_only) return features | blk::F_RO;
    if (disk.can_discard) features |= blk::F_DISCARD;
    if (disk.can_write_zeroes) features |= blk::F_WRITE_ZEROES;
    return features;
}

/// Fields of features that are not offered stay 0, as does padding.
blk::Config config_of(const BlockGeometry& disk, u64 features, const Block::Options& options) {
    const u32 blocks_per_physical = std::max(disk.physical_block_bytes / disk.logical_block_bytes, u32{1});
    blk::Config config{};
    config.capacity = disk.size_bytes / blk::SECTOR_BYTES;
    // With header and status a request must fit in a queue.
    config.size_max = kBlockSegmentBytesMax;
    config.seg_max = std::min(kBlockSegmentsMax, u32{options.queue_size} - 2);
    config.blk_size = disk.logical_block_bytes;
    config.physical_block_exp = static_cast<u8>(std::bit_width(blocks_per_physical) - 1);
    config.min_io_size =
        static_cast<u16>(std::min<u32>(blocks_per_physical, std::numeric_limits<u16>::max()));
    config.writeback = 1;
    if ((features & blk::F_MQ) != 0) config.num_queues = options.queue_count;
    if ((features & blk::F_DISCARD) != 0) {
        config.max_discard_sectors = kBlockRangeSectorsMax;
        config.max_discard_seg = kBlockRangesMax;
        config.discard_sector_alignment = disk.discard_alignment_bytes / u32{blk::SECTOR_BYTES};
    }
    if ((features & blk::F_WRITE_ZEROES) != 0) {
        config.max_write_zeroes_sectors = kBlockZeroSectorsMax;
        config.max_write_zeroes_seg = kBlockRangesMax;
        config.write_zeroes_may_unmap = disk.can_discard ? 1 : 0;
    }
    return config;
}

/// All segments, header and status, each cut into a few parts: a page of iovecs.
constexpr u32 kChainPartsMin = 256;

/// After so many bytes process() returns to its caller: a few requests may be as much work as many.
constexpr u64 kBytesPerCall = MiB(2);
static_assert(kBlockTransferBytesMax < std::numeric_limits<u32>::max());  // a queue's lengths have 32 bits
/// Of requests that become one operation: few enough bytes to be done at once.
constexpr u64 kRunBytesMax = KiB(256);

bool is_count_of_queues(u16 count) { return count >= 1 && count <= Block::kQueuesMax; }
bool is_size_of_queue(u16 size) {
    return std::has_single_bit(size) && size >= Block::kQueueSizeMin && size <= VirtQueue::kSizeMax;
}

u8 status_of(i32 result) {
    if (result == 0) return blk::S_OK;
    // The file system lacks this operation, which shows at the first request.
    return result == -EOPNOTSUPP ? blk::S_UNSUPP : blk::S_IOERR;
}

}  // namespace

Result<std::unique_ptr<Block>> Block::create(Options options, BlockBackend& backend) {
    if (!is_count_of_queues(options.queue_count))
        return mayfly::fail(Error::invalid(fmt::format("{}: {} queues, but a disk has 1 to {}", options.name,
                                                       options.queue_count, kQueuesMax)));
    if (!is_size_of_queue(options.queue_size))
        return mayfly::fail(
            Error::invalid(fmt::format("{}: queue size {} is not a power of two from {} to {}", options.name,
                                       options.queue_size, kQueueSizeMin, VirtQueue::kSizeMax)));
    if (options.id.size() > blk::ID_BYTES)
        return mayfly::fail(
            Error::invalid(fmt::format("{}: the disk's id '{}' has {} bytes, at most {} fit", options.name,
                                       options.id, options.id.size(), blk::ID_BYTES)));
    // An indirect table may be longer than its queue.
    const u32 chain_parts_max = std::max(u32{options.queue_size}, kChainPartsMin);
    BlockSlots slots =
        TRY(BlockSlots::create(u32{options.queue_count} * options.queue_size, chain_parts_max));
    return std::unique_ptr<Block>(new Block(std::move(options), backend, std::move(slots)));
}

Block::Block(Options options, BlockBackend& backend, BlockSlots slots)
    : options_(std::move(options)),
      backend_(backend),
      slots_(std::move(slots)),
      requests_limit_(options_.requests_per_second),
      bytes_limit_(options_.bytes_per_second) {
    queue_sizes_.fill(options_.queue_size);
    const BlockGeometry disk = backend_.geometry();
    features_offered_ = features_of(disk, options_.queue_count);
    active_.config = config_of(disk, features_offered_, options_);
}

u16 Block::device_id() const { return virtio::ID_BLOCK; }

std::span<const u16> Block::queue_sizes() const {
    return std::span(queue_sizes_).first(options_.queue_count);
}

std::span<const std::byte> Block::config() const { return std::as_bytes(std::span(&active_.config, 1)); }

void Block::write_config(u32 offset_bytes, std::span<const std::byte> bytes) {
    // virtio 1.2 §5.2.6.1 "Driver Requirements: Device Operation": "switch to writethrough or writeback mode
    // by writing respectively 0 and 1 to the writeback field". The rest is read-only.
    constexpr u32 kWriteback = offsetof(blk::Config, writeback);
    if (offset_bytes > kWriteback || bytes.size() <= kWriteback - offset_bytes) return;
    active_.config.writeback = bytes[kWriteback - offset_bytes] != std::byte{0} ? 1 : 0;
}

void Block::start(u64 features, DeviceHost& host) {
    host_ = &host;
    active_.features = features;
    // virtio 1.2 §5.2.5.2 "Device Requirements: Device Initialization": with CONFIG_WCE but not FLUSH,
    // "the device MUST initialize writeback to 0".
    if ((features & blk::F_CONFIG_WCE) != 0 && (features & blk::F_FLUSH) == 0) active_.config.writeback = 0;
    rules_ = {.sector_count = active_.config.capacity,
              .is_read_only = (features_offered_ & blk::F_RO) != 0,
              .has_discard = (features & features_offered_ & blk::F_DISCARD) != 0,
              .has_write_zeroes = (features & features_offered_ & blk::F_WRITE_ZEROES) != 0,
              .is_legacy = (features & virtio::F_VERSION_1) == 0};
}

void Block::stop() {
    // no guest: VirtioCore::reset() waited for that, and has held the lock since.
    VERIFY(in_flight() == 0);
    host_ = nullptr;
    rules_ = {};
    active_.features = 0;
    active_.has_failed = false;
    active_.config.writeback = 1;
}

Progress Block::process(u16 queue, u32 budget) {
    // no guest: VirtioCore::run_queue() asks only between start() and stop(), and for a queue that runs.
    VERIFY(host_ != nullptr && queue < options_.queue_count);
    const Progress progress = take_requests(queue, budget);
    start_run();
    return progress;
}

Progress Block::take_requests(u16 queue, u32 budget) {
    VirtQueue& from = host_->queue(queue);
    served_bytes_ = 0;
    for (; budget > 0 && served_bytes_ < kBytesPerCall; --budget) {
        if (active_.has_failed) return Progress::Waiting;
        Popped popped = from.pop(slots_.scratch());
        switch (popped.result) {
            case PopResult::Empty: return Progress::Drained;
            case PopResult::Broken: fail(from.why_broken()); return Progress::Waiting;
            case PopResult::Chain: break;
        }
        if (!serve(queue, popped.chain)) return Progress::Waiting;
    }
    return Progress::More;
}

bool Block::serve(u16 queue, Chain& chain) {
    const BlockRequest request = parse_block_request(chain, rules_);
    switch (request.step) {
        case BlockStep::Malformed: fail("a disk request without a header or a status byte"); return false;
        case BlockStep::Answer: answer(queue, chain.token, request.status_at, request.status, 1); break;
        case BlockStep::Identify:
            identify(request);
            answer(queue, chain.token, request.status_at, blk::S_OK, u32{blk::ID_BYTES} + 1);
            break;
        case BlockStep::Start:
            if (const auto deadline_ns = wait_until(request)) {
                ++counts_.waits;
                host_->queue(queue).unpop(chain.token);
                host_->run_at(queue, *deadline_ns);
                return false;
            }
            begin(queue, chain, request);
            break;
    }
    return true;
}

std::optional<u64> Block::wait_until(const BlockRequest& request) {
    if (!requests_limit_.is_limited() && !bytes_limit_.is_limited()) return std::nullopt;
    // A range of zeroes may have to be written; a discarded range transfers no data.
    const bool has_data = request.kind != BlockIoKind::Discard && request.kind != BlockIoKind::Flush;
    return take_from_both(requests_limit_, 1, bytes_limit_, has_data ? request.size_bytes : 0,
                          options_.now_ns());
}

void Block::begin(u16 queue, const Chain& chain, const BlockRequest& request) {
    BlockSlot* const slot = slots_.take(request.data);
    // no guest: a queue gives out at most as many chains as it has entries, each entry has a slot, and a
    // queue with chains out does not start anew (VirtioCore::start_queues(), clear()).
    VERIFY(slot != nullptr);
    const bool is_change = request.kind == BlockIoKind::Write || request.kind == BlockIoKind::WriteZeroes;
    slot->kind = request.kind;
    slot->may_unmap = request.may_unmap;
    slot->must_be_stable = is_change && is_write_through();
    slot->offset_bytes = request.offset_bytes;
    slot->size_bytes = request.size_bytes;
    slot->token = chain.token;
    slot->queue = queue;
    slot->status_at = request.status_at;
    count(request.kind);
    if (request.kind != BlockIoKind::Discard) served_bytes_ += request.size_bytes;
    if (request.kind == BlockIoKind::Read || request.kind == BlockIoKind::Write)
        host_->queue(queue).counts.bytes += request.size_bytes;
    if (join_run(*slot)) return;
    start_run();
    run_ = &make_run(*slot);
}

BlockRun& Block::make_run(BlockSlot& slot) {
    BlockRun& run = slot.run;
    run.client = this;
    run.kind = slot.kind;
    // A file's zeroes have no flag that writes them through: a flush follows.
    run.is_write_through = slot.must_be_stable && slot.kind == BlockIoKind::Write;
    run.is_flush_next = slot.must_be_stable && slot.kind == BlockIoKind::WriteZeroes;
    run.may_unmap = slot.may_unmap;
    run.offset_bytes = slot.offset_bytes;
    run.size_bytes = slot.size_bytes;
    run.parts = slots_.parts_of(slot);
    run.part_count = slot.part_count;
    run.first = run.last = &slot;
    slot.next_in_run = nullptr;
    return run;
}

/// One system call for many small requests: a file system's cost is mostly per call.
bool Block::join_run(BlockSlot& slot) {
    if (run_ == nullptr || slot.kind != run_->kind) return false;
    if (slot.kind != BlockIoKind::Read && slot.kind != BlockIoKind::Write) return false;
    if (slot.must_be_stable != run_->first->must_be_stable) return false;
    if (slot.offset_bytes != run_->offset_bytes + run_->size_bytes) return false;
    if (run_->size_bytes + slot.size_bytes > kRunBytesMax) return false;
    if (run_->part_count + slot.part_count > kBlockSegmentsMax) return false;
    if (!BlockSlots::can_join(*run_->first) || !BlockSlots::can_join(slot)) return false;
    run_->last->next_in_run = &slot;
    run_->last = &slot;
    run_->size_bytes += slot.size_bytes;
    run_->part_count += slot.part_count;
    ++counts_.joined;
    return true;
}

void Block::start_run() {
    if (run_ == nullptr) return;
    BlockRun& run = *std::exchange(run_, nullptr);
    if (run.first != run.last) run.parts = slots_.gather_parts(run);
    (void)advance(run, backend_.start(run));
}

bool Block::advance(BlockRun& run, std::optional<i32> result) {
    if (result == 0 && run.is_flush_next) {
        run.is_flush_next = false;
        run.kind = BlockIoKind::Flush;
        result = backend_.start(run);
    }
    if (!result) return false;
    if (run.first != run.last && *result != 0 && *result != -ECANCELED) {
        start_alone(run);
        return true;
    }
    for (BlockSlot* next = run.first; next != nullptr;) {
        BlockSlot& done = *std::exchange(next, next->next_in_run);
        finish(done, *result);
    }
    return true;
}

/// An error of several joined requests does not tell which of them failed: each is tried again alone.
void Block::start_alone(BlockRun& failed) {
    for (BlockSlot* next = failed.first; next != nullptr;) {
        BlockSlot& slot = *std::exchange(next, next->next_in_run);
        BlockRun& run = make_run(slot);
        (void)advance(run, backend_.start(run));
    }
}

void Block::finish(BlockSlot& slot, i32 result) {
    const u8 status = status_of(result);
    // A failed read reports only its status byte as written, not the data.
    const bool has_data = status == blk::S_OK && slot.kind == BlockIoKind::Read;
    const u32 written_bytes = 1 + (has_data ? static_cast<u32>(slot.size_bytes) : 0);
    answer(slot.queue, slot.token, slot.status_at, status, written_bytes);
    slots_.give_back(slot);
}

void Block::answer(u16 queue, ChainToken token, void* status_at, u8 status, u32 written_bytes) {
    const iovec at{.iov_base = status_at, .iov_len = 1};
    // no guest: one byte into a range of one.
    VERIFY(copy_to_parts({&at, 1}, 0, std::as_bytes(std::span(&status, 1))));
    if (status != blk::S_OK) ++counts_.errors;
    host_->queue(queue).push(token, written_bytes);
}

void Block::identify(const BlockRequest& request) {
    // NUL-padded, and without a terminator when it takes all 20 bytes.
    std::array<char, blk::ID_BYTES> id{};
    std::memcpy(id.data(), options_.id.data(), options_.id.size());
    // no guest: parse_identify() lets no other length than that of an id pass.
    VERIFY(copy_to_parts(request.data, 0, std::as_bytes(std::span(id))));
}

void Block::on_block_io_done(BlockIo& io, i32 result) {
    // no guest: the operation's slots are taken, and VirtioCore::reset() calls stop() when none is.
    VERIFY(host_ != nullptr);
    const Lock lock(host_->mutex());
    // SAFETY: only make_run() makes a BlockIo whose client is this device, and it is a BlockRun.
    auto& run = static_cast<BlockRun&>(io);
    const u16 queue = run.first->queue;
    if (advance(run, result)) host_->completed(queue);
}

void Block::count(BlockIoKind kind) {
    switch (kind) {
        case BlockIoKind::Read: ++counts_.reads; break;
        case BlockIoKind::Write: ++counts_.writes; break;
        case BlockIoKind::Flush: ++counts_.flushes; break;
        case BlockIoKind::Discard: ++counts_.discards; break;
        case BlockIoKind::WriteZeroes: ++counts_.zeroes; break;
    }
}

bool Block::is_write_through() const {
    if ((active_.features & blk::F_FLUSH) == 0) return true;
    return (active_.features & blk::F_CONFIG_WCE) != 0 && active_.config.writeback == 0;
}

Block::State Block::save() {
    const u64 now_ns = options_.now_ns();
    return {.is_write_back = active_.config.writeback != 0,
            .has_failed = active_.has_failed,
            .requests_level = requests_limit_.level(now_ns),
            .bytes_level = bytes_limit_.level(now_ns)};
}

void Block::restore(const State& state) {
    const u64 now_ns = options_.now_ns();
    active_.config.writeback = state.is_write_back ? 1 : 0;
    active_.has_failed = state.has_failed;
    requests_limit_.set_level(state.requests_level, now_ns);
    bytes_limit_.set_level(state.bytes_level, now_ns);
}

void Block::fail(std::string_view why) {
    active_.has_failed = true;
    host_->fail(why);
}

}  // namespace mayfly
