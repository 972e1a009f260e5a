// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/disk_overlay.h"

#include <cerrno>
#include <new>
#include <utility>

namespace mayfly {

namespace {

constexpr u64 kSectorBytes = WrittenSectors::kSectorBytes;
/// The unit in which the layer frees discarded memory: a page.
constexpr u32 kLayerBlockBytes = 4096;
/// Pieces of one read that alternates between file and layer, before others get their turn.
constexpr u32 kPiecesAtOnce = 128;

u64 first_sector(const BlockIo& io) { return io.offset_bytes / kSectorBytes; }
u64 sector_count(const BlockIo& io) { return io.size_bytes / kSectorBytes; }

}  // namespace

/// An operation with a following step: a read of both, piece by piece, or a change of the layer, which then
/// marks the sectors.
class DiskOverlay::Request final : public BlockIoClient {
  public:
    explicit Request(DiskOverlay& disk) : disk_(&disk) {}

    std::optional<i32> begin(BlockIo& whole) {
        whole_ = &whole;
        rest_ = whole.parts;
        piece_.client = this;
        piece_.kind = whole.kind;
        piece_.may_unmap = true;  // a hole in the layer reads as zeroes, and costs nothing
        piece_.offset_bytes = whole.offset_bytes;
        piece_.size_bytes = 0;
        const auto result = go_on(0);
        if (result) release();
        return result;
    }

    void on_block_io_done(BlockIo& /*piece*/, i32 result) override {
        const auto last = go_on(result);
        if (!last) return;
        BlockIo& whole = *whole_;
        release();
        whole.client->on_block_io_done(whole, *last);
    }

    Request* next_free = nullptr;
    std::unique_ptr<Request> older;

  private:
    /// The piece ended with `result`. \returns the result of the whole operation, or nothing while another
    /// piece is in flight.
    std::optional<i32> go_on(i32 result) {
        for (u32 count = 1; result == 0; ++count) {
            const u64 end = whole_->offset_bytes + whole_->size_bytes;
            piece_.offset_bytes += piece_.size_bytes;
            if (piece_.offset_bytes == end) {
                if (whole_->kind != BlockIoKind::Read)
                    disk_->written_.set(first_sector(*whole_), sector_count(*whole_));
                return 0;
            }
            piece_.size_bytes = end - piece_.offset_bytes;
            DiskFile* from = disk_->layer_.get();
            if (whole_->kind == BlockIoKind::Read) {
                if (!disk_->written_.has(first_sector(piece_))) from = disk_->file_.get();
                piece_.size_bytes =
                    kSectorBytes * disk_->written_.run_length(first_sector(piece_), sector_count(piece_));
            }
            take_parts(piece_.size_bytes);
            const auto now = count % kPiecesAtOnce == 0 ? from->start_by_loop(piece_) : from->start(piece_);
            if (!now) return std::nullopt;
            result = *now;
        }
        return result;
    }

    /// Makes the piece's parts the next `size_bytes` of the remaining ones. DiskFile changes them, but only
    /// by the bytes that it transferred: the rest of a split part is kept here.
    void take_parts(u64 size_bytes) {
        if (cut_.iov_len != 0) rest_.front() = std::exchange(cut_, iovec{});
        std::size_t count = 0;
        for (; count < rest_.size() && rest_[count].iov_len <= size_bytes; ++count)
            size_bytes -= rest_[count].iov_len;
        piece_.parts = rest_.first(count);
        if (size_bytes != 0 && count < rest_.size()) {
            iovec& part = rest_[count];
            cut_ = {.iov_base = static_cast<std::byte*>(part.iov_base) + size_bytes,
                    .iov_len = part.iov_len - size_bytes};
            part.iov_len = size_bytes;
            piece_.parts = rest_.first(count + 1);
        }
        rest_ = rest_.subspan(count);
    }

    void release() {
        cut_ = {};
        next_free = std::exchange(disk_->free_, this);
    }

    DiskOverlay* disk_;
    BlockIo* whole_ = nullptr;
    BlockIo piece_;
    std::span<iovec> rest_;  ///< parts of the whole that come after the piece, and the one that it cuts
    iovec cut_{};            ///< the rest of the split part
};

Result<std::unique_ptr<DiskOverlay>> DiskOverlay::open(DiskOptions options) {
    options.is_read_only = true;
    auto file = TRY(DiskFile::open(options));
    const u64 size_bytes = file->geometry().size_bytes;
    auto layer = TRY(DiskFile::in_memory(size_bytes, options.in_flight_max));
    auto written = TRY(WrittenSectors::create(size_bytes / kSectorBytes));
    return std::unique_ptr<DiskOverlay>(
        new DiskOverlay(std::move(file), std::move(layer), std::move(written)));
}

DiskOverlay::DiskOverlay(std::unique_ptr<DiskFile> file, std::unique_ptr<DiskFile> layer,
                         WrittenSectors written)
    : file_(std::move(file)), layer_(std::move(layer)), written_(std::move(written)) {}

DiskOverlay::~DiskOverlay() {
    while (newest_ != nullptr) newest_ = std::move(newest_->older);
}

Result<void> DiskOverlay::attach(Loop& loop) {
    TRY_VOID(file_->attach(loop));
    return layer_->attach(loop);
}

void DiskOverlay::give_all_to_ring() {
    file_->give_all_to_ring();
    layer_->give_all_to_ring();
}

BlockGeometry DiskOverlay::geometry() const {
    BlockGeometry geometry = file_->geometry();
    geometry.is_read_only = false;
    geometry.can_discard = true;
    geometry.can_write_zeroes = true;
    geometry.discard_alignment_bytes = kLayerBlockBytes;
    return geometry;
}

std::optional<i32> DiskOverlay::start(BlockIo& io) {
    switch (io.kind) {
        case BlockIoKind::Read: return read(io);
        case BlockIoKind::Discard: return discard(io);
        case BlockIoKind::Flush: return 0;
        case BlockIoKind::Write:
        case BlockIoKind::WriteZeroes: return begin(io);
    }
    return -EINVAL;
}

std::optional<i32> DiskOverlay::read(BlockIo& io) {
    if (io.size_bytes == 0) return 0;
    if (written_.run_length(first_sector(io), sector_count(io)) != sector_count(io)) return begin(io);
    return (written_.has(first_sector(io)) ? layer_ : file_)->start(io);
}

std::optional<i32> DiskOverlay::discard(BlockIo& io) {
    const u64 first = first_sector(io);
    const u64 count = sector_count(io);
    if (!written_.has(first) && written_.run_length(first, count) == count) return 0;
    written_.clear(first, count);
    return layer_->start(io);
}

std::optional<i32> DiskOverlay::begin(BlockIo& io) {
    if (free_ == nullptr) {
        std::unique_ptr<Request> more(new (std::nothrow) Request(*this));
        if (more == nullptr) return -ENOMEM;
        free_ = more.get();
        more->older = std::move(newest_);
        newest_ = std::move(more);
    }
    Request& request = *std::exchange(free_, free_->next_free);
    return request.begin(io);
}

void DiskOverlay::cancel_all() {
    file_->cancel_all();
    layer_->cancel_all();
}

}  // namespace mayfly
