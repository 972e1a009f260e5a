// SPDX-License-Identifier: Apache-2.0
// ShareBackend: a directory of the host as a file system for the guest: a FUSE server on a loop of its own.
//
// Nothing that the guest says is believed: see FuseServer. Requests are done by the loop's thread, without
// the device's lock. Thread: as FsBackend and Backend say.
#pragma once

#include <memory>

#include "devices/virtio/fs/fs_backend.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/loop/loop.h"
#include "vmm/share/fuse_server.h"

namespace mayfly {

class ShareBackend final : public FsBackend, public Backend, private Task {
  public:
    /// Errors: the directory cannot be opened, or is none.
    static Result<std::unique_ptr<ShareBackend>> open(const ShareOptions& options);

    /// Errors: as FuseServer::enter().
    Result<void> attach(Loop& loop) override;
    void start(FsIo& io) override;
    void cancel_all() override {}  // the thread does one at a time, and the host ends it when it likes
    void reset() override;

  private:
    explicit ShareBackend(std::unique_ptr<FuseServer> server) : server_(std::move(server)) {}
    void run() override;

    std::unique_ptr<FuseServer> server_;
    Loop* loop_ = nullptr;
    FsIo* first_ = nullptr;  // asked for, in order
    FsIo* last_ = nullptr;
};

}  // namespace mayfly
