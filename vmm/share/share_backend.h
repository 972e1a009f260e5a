// SPDX-License-Identifier: Apache-2.0
// ShareBackend: a directory of the host as a file system for the guest: a FUSE server on a loop of its own.
//
// Nothing from the guest is trusted: see FuseServer. Requests are done by the loop's thread, without the
// device's lock; those that have to wait for a disk go through the loop's ring, and others go on meanwhile.
// Thread: as FsBackend and Backend say.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "devices/virtio/fs/fs_backend.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/loop/loop.h"
#include "vmm/share/fuse_server.h"

namespace mayfly {

class ShareBackend final : public FsBackend, public Backend, private Task {
  public:
    /// Errors: the path cannot be opened, or is not a directory.
    static Result<std::unique_ptr<ShareBackend>> open(const ShareOptions& options,
                                                      const FuseServer::Limits& limits);

    /// Errors: as FuseServer::enter().
    Result<void> attach(Loop& loop) override;
    void start(FsIo& io) override;
    void cancel_all() override;
    void reset() override;

  private:
    /// A request on its way through the ring.
    class Waiting final : public Operation {
      public:
        explicit Waiting(ShareBackend& backend) : backend_(backend) {}

        void begin(FsIo& io);
        void on_complete(i32 result, bool has_more) override;
        [[nodiscard]] Later& later() { return later_; }
        /// Null while it has none.
        [[nodiscard]] const FsIo* io() const { return io_; }

      private:
        void submit();
        void finish(i32 error);

        ShareBackend& backend_;
        FsIo* io_ = nullptr;
        Later later_;
    };
    class Cancelling final : public Task {
      public:
        explicit Cancelling(ShareBackend& backend) : backend_(backend) {}
        void run() override;

      private:
        ShareBackend& backend_;
    };
    static constexpr std::size_t kWaitingMax = 64;
    /// Requests per turn, so that other work of the loop gets its turn.
    static constexpr int kServedMax = 16;

    explicit ShareBackend(std::unique_ptr<FuseServer> server);
    void run() override;
    void serve(FsIo& io);
    [[nodiscard]] FsIo& take_first();
    /// Left by a driver that is gone.
    [[nodiscard]] bool is_old(const FsIo& io) const {
        return io.generation != generation_.load(std::memory_order_acquire);
    }

    std::unique_ptr<FuseServer> server_;
    std::atomic<Loop*> loop_ = nullptr;
    std::atomic<u32> generation_ = 0;
    FsIo* first_ = nullptr;  // asked for, in order
    FsIo* last_ = nullptr;
    std::deque<Waiting> waiting_;
    std::vector<Waiting*> idle_;  // of them
    Cancelling cancelling_{*this};
};

}  // namespace mayfly
