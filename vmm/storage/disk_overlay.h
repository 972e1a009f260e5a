// SPDX-License-Identifier: Apache-2.0
// DiskOverlay: a disk that can be written although its file is only read: what is written goes to a layer in
// memory, and with the process.
//
// Each sector is in one of the two, as WrittenSectors says, so that a write of less than a page copies
// nothing up. Requests for sectors of one of them are that DiskFile's; a read of both goes piece by piece.
// The layer costs the pages that were written; zeroes and what was never written cost none there. A discarded
// sector is the file's again. Where the host has no page, the layer's write is an error, and the sector what
// it was. A flush has nothing to do: nothing here is to survive.
//
// Thread: as BlockBackend's. Destroyed after its loop.
#pragma once

#include <memory>

#include "vmm/storage/disk_file.h"
#include "vmm/storage/written_sectors.h"

namespace mayfly {

class DiskOverlay final : public BlockBackend, public Backend {
  public:
    /// Errors: as DiskFile::open()'s, which is told to read only; Os for the layer.
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
    std::unique_ptr<Request> newest_;  ///< of all: as many as ever were in flight together
    Request* free_ = nullptr;
};

}  // namespace mayfly
