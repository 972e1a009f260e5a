// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_file.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <fmt/format.h>

#include "devices/virtio/queue/chain.h"
#include "vmm/os/clock.h"
#include "vmm/storage/file_transfer.h"

namespace mayfly {

class DiskFile::CancelTask final : public Task {
  public:
    explicit CancelTask(DiskFile& disk) : disk_(&disk) {}
    void run() override { disk_->cancel_old(); }

  private:
    DiskFile* disk_;
};

namespace {

/// From so many reads in a turn on, the ring is cheaper for all of them. The first few are done at once, in
/// case no more come.
constexpr u32 kManyReads = 4;
constexpr u32 kFewReads = 2;
constexpr u64 kAtOnceBytesMax = KiB(256);

bool is_transfer(const BlockIo& io) { return io.kind == BlockIoKind::Read || io.kind == BlockIoKind::Write; }

i32 flush_now(const UniqueFd& fd) {
    while (::fdatasync(fd.get()) != 0)
        if (errno != EINTR) return -errno;
    return 0;
}

}  // namespace

Result<std::unique_ptr<DiskFile>> DiskFile::open(const DiskOptions& options) {
    auto disk = TRY(open_disk(options));  // not inside `new`, which TRY would leave without giving it back
    return std::unique_ptr<DiskFile>(new DiskFile(std::move(disk), options.in_flight_max));
}

Result<std::unique_ptr<DiskFile>> DiskFile::in_memory(u64 size_bytes, u32 in_flight_max) {
    OpenDisk disk;
    disk.buffered = UniqueFd::adopt(::memfd_create("disk", MFD_CLOEXEC));
    if (!disk.buffered.valid()) return fail(Error::os("memfd_create"));
    if (::ftruncate(disk.buffered.get(), static_cast<off_t>(size_bytes)) != 0)
        return fail(Error::os("ftruncate").about(fmt::format("memory file of {} bytes", size_bytes)));
    disk.geometry.size_bytes = size_bytes;
    return std::unique_ptr<DiskFile>(new DiskFile(std::move(disk), in_flight_max));
}

DiskFile::DiskFile(OpenDisk disk, u32 in_flight_max)
    : disk_(std::move(disk)),
      in_flight_max_(in_flight_max),
      cancel_task_(std::make_unique<CancelTask>(*this)) {}

/// Not left to close(2): the kernel may release a ring's files much later.
DiskFile::~DiskFile() { (void)::flock(disk_.buffered.get(), LOCK_UN); }

Result<void> DiskFile::attach(Loop& loop) {
    buffered_file_ = TRY(loop.add_file(disk_.buffered));
    if (disk_.direct.valid()) direct_file_ = TRY(loop.add_file(disk_.direct));
    for (u32 n = 0; n < in_flight_max_; ++n) release(requests_.emplace_back(*this));
    loop_.store(&loop, std::memory_order_release);
    return {};
}

bool DiskFile::is_aligned(const BlockIo& io, u64 done_bytes) const {
    u64 odd = (io.offset_bytes + done_bytes) % disk_.direct_offset_alignment;
    for (const iovec& part : io.parts)
        // SAFETY: the address is only used as a number.
        odd |= reinterpret_cast<std::uintptr_t>(part.iov_base) % disk_.direct_memory_alignment |
               part.iov_len % disk_.direct_offset_alignment;
    return odd == 0;
}

std::optional<i32> DiskFile::start(BlockIo& io) {
    const bool changes = io.kind != BlockIoKind::Read && io.kind != BlockIoKind::Flush;
    if (changes && disk_.geometry.is_read_only) return -EROFS;
    if (io.kind != BlockIoKind::Flush && io.size_bytes == 0) return 0;
    if (loop_.load(std::memory_order_acquire) == nullptr) return do_now(io, 0);
    const bool is_buffered = is_transfer(io) && !disk_.direct.valid() && !io.is_write_through;
    const bool is_at_once = is_buffered && !is_all_by_ring_;
    if (is_at_once && !(io.kind == BlockIoKind::Read && has_nowait_reads_ && is_one_of_many_reads())) {
        const Attempt attempt = try_at_once(io);
        return attempt.result ? attempt.result : begin(io, attempt.done_bytes);
    }
    return begin(io, 0);
}

std::optional<i32> DiskFile::start_by_loop(BlockIo& io) {
    if (loop_.load(std::memory_order_acquire) == nullptr) return start(io);
    return begin(io, 0);
}

/// This turn is expected to be like the one before.
bool DiskFile::is_one_of_many_reads() {
    const u64 turn = loop().counts().turns;
    if (turn != turn_) {
        turn_ = turn;
        reads_in_turn_before_ = std::exchange(reads_in_turn_, 0);
    }
    return ++reads_in_turn_ > kFewReads || reads_in_turn_before_ >= kManyReads;
}

i32 DiskFile::do_now(BlockIo& io, u64 done_bytes) {
    ++counts_.direct;
    if (io.kind == BlockIoKind::Flush) return flush_now(disk_.buffered);
    if (!is_transfer(io)) return deallocate_now(disk_.buffered, io);
    const int flags = io.kind == BlockIoKind::Write && io.is_write_through ? RWF_DSYNC : 0;
    if (disk_.direct.valid() && is_aligned(io, done_bytes)) {
        const Transferred direct = transfer_all(disk_.direct, io, done_bytes, flags);
        // The file system needs stricter alignment than it said, or stopped in between. The page cache
        // accepts any alignment.
        if (direct.result != -EINVAL) return direct.result;
        done_bytes = direct.done_bytes;
    }
    return transfer_all(disk_.buffered, io, done_bytes, flags).result;
}

/// Does the part that needs no ring.
DiskFile::Attempt DiskFile::try_at_once(BlockIo& io) {
    // Copying this much would keep other devices waiting; a worker thread can do it.
    if (io.size_bytes > kAtOnceBytesMax) return {};
    const bool is_read = io.kind == BlockIoKind::Read;
    const bool& has_nowait = is_read ? has_nowait_reads_ : has_nowait_writes_;
    if (has_nowait) {
        const Attempt attempt = try_without_waiting(io);
        if (attempt.result || has_nowait) return attempt;
    }
    SlowGate& gate = is_read ? read_gate_ : write_gate_;
    const u64 begin_ns = monotonic_ns();
    if (!gate.is_open(begin_ns)) return {};
    const i32 result = do_now(io, 0);
    gate.took(begin_ns, monotonic_ns());
    return {.result = result};
}

DiskFile::Attempt DiskFile::try_without_waiting(BlockIo& io) {
    const i64 moved = transfer_once(disk_.buffered, io, 0, RWF_NOWAIT);
    if (moved == -EOPNOTSUPP) {
        (io.kind == BlockIoKind::Read ? has_nowait_reads_ : has_nowait_writes_) = false;
        return {};
    }
    if (moved == -EAGAIN) return {};
    ++counts_.direct;
    if (moved < 0) return {.result = static_cast<i32>(moved)};
    if (moved == 0) return {.result = -EIO};
    const auto done_bytes = static_cast<u64>(moved);
    if (done_bytes == io.size_bytes) return {.result = 0};
    io.parts = drop_front(io.parts, done_bytes);  // the rest is not in the page cache
    return {.result = std::nullopt, .done_bytes = done_bytes};
}

std::optional<i32> DiskFile::begin(BlockIo& io, u64 done_bytes) {
    if (free_ == nullptr) return do_now(io, done_bytes);
    DiskRequest& request = *std::exchange(free_, free_->next_free);
    const bool is_direct = disk_.direct.valid() && is_transfer(io) && is_aligned(io, done_bytes);
    ++(needs_worker(io, is_direct) ? counts_.by_worker : counts_.by_ring);
    request.begin(io, done_bytes, generation(), is_direct);
    return std::nullopt;
}

bool DiskFile::needs_worker(const BlockIo& io, bool is_direct) const {
    if (!is_transfer(io) || (io.kind == BlockIoKind::Write && io.is_write_through)) return true;
    if (is_direct) return false;
    return io.kind == BlockIoKind::Read ? !has_nowait_reads_ : !has_nowait_writes_;
}

void DiskFile::release(DiskRequest& request) { request.next_free = std::exchange(free_, &request); }

void DiskFile::cancel_all() {
    generation_.fetch_add(1, std::memory_order_acq_rel);
    if (Loop* loop = loop_.load(std::memory_order_acquire)) loop->post(*cancel_task_);
}

void DiskFile::cancel_old() {
    for (DiskRequest& request : requests_)
        if (request.is_in_use() && request.generation() != generation()) loop().cancel(request);
}

}  // namespace mayfly
