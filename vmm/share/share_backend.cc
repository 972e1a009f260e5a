// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/share_backend.h"

#include <utility>

namespace mayfly {

Result<std::unique_ptr<ShareBackend>> ShareBackend::open(const ShareOptions& options) {
    return std::unique_ptr<ShareBackend>(new ShareBackend(TRY(FuseServer::open(options))));
}

Result<void> ShareBackend::attach(Loop& loop) {
    loop_ = &loop;
    return server_->enter();
}

void ShareBackend::start(FsIo& io) {
    io.next = nullptr;
    (last_ != nullptr ? last_->next : first_) = &io;
    last_ = &io;
    if (!is_queued()) loop_->run_soon(*this);
}

void ShareBackend::run() {
    // What comes meanwhile has its turn in the next, after the interrupts for these.
    FsIo* io = std::exchange(first_, nullptr);
    last_ = nullptr;
    while (io != nullptr) {
        FsIo& now = *std::exchange(io, io->next);
        now.client->on_fs_io_done(now, server_->serve(now.request, now.room));
    }
}

void ShareBackend::reset() { server_->reset(); }

}  // namespace mayfly
