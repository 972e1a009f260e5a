// SPDX-License-Identifier: Apache-2.0
// DiskOverlay: a writable disk whose file is only read: writes go to a layer in memory, which ends with the
// process.
//
// Each sector is in one of the two, as WrittenSectors records, so that a write of less than a page copies
// nothing. A request for sectors of one of them goes to that DiskFile; a read of both goes piece by piece.
// The layer takes only the pages that were written, without zeroes. A discarded sector comes from the file
// again. Where the host is out of memory, the layer's write is an error, and the sector is unchanged. A flush
// does nothing: the layer need not survive.
//
// Thread: as BlockBackend's. Destroyed after its loop.
#pragma once

#include <memory>

#include "vmm/storage/disk_file.h"
#include "vmm/storage/written_sectors.h"

namespace mayfly {

class DiskOverlay final : public BlockBackend, public Backend {
  public:
    /// Errors: as DiskFile::open(), which opens the file for reading only; Os for the layer.
    static Result<std::unique_ptr<DiskOverlay>> open(DiskOptions options);
    ~DiskOverlay() override;

    /// As DiskFile's.
    Result<void> attach(Loop& loop) override;
    void give_all_to_ring();

    [[nodiscard]] BlockGeometry geometry() const override;
    [[nodiscard]] std::optional<i32> start(BlockIo& io) override;
    void cancel_all() override;

  private:
    class Request;

    DiskOverlay(std::unique_ptr<DiskFile> file, std::unique_ptr<DiskFile> layer, WrittenSectors written);

    [[nodiscard]] std::optional<i32> read(BlockIo& io);
    [[nodiscard]] std::optional<i32> discard(BlockIo& io);
    [[nodiscard]] std::optional<i32> begin(BlockIo& io);

    std::unique_ptr<DiskFile> file_;
    std::unique_ptr<DiskFile> layer_;
    WrittenSectors written_;
    std::unique_ptr<Request> newest_;  ///< list of all requests: as many as were ever in flight together
    Request* free_ = nullptr;
};

}  // namespace mayfly
