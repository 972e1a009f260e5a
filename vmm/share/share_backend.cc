// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/share_backend.h"

#include <utility>

#include "vmm/error/verify.h"

namespace mayfly {

Result<std::unique_ptr<ShareBackend>> ShareBackend::open(const ShareOptions& options,
                                                         const FuseServer::Limits& limits) {
    return std::unique_ptr<ShareBackend>(new ShareBackend(TRY(FuseServer::open(options, limits))));
}

ShareBackend::ShareBackend(std::unique_ptr<FuseServer> server) : server_(std::move(server)) {
    idle_.reserve(kWaitingMax);
    for (std::size_t i = 0; i < kWaitingMax; ++i) idle_.push_back(&waiting_.emplace_back(*this));
}

Result<void> ShareBackend::attach(Loop& loop) {
    loop_.store(&loop, std::memory_order_release);
    return server_->enter();
}

void ShareBackend::start(FsIo& io) {
    io.next = nullptr;
    io.generation = generation_.load(std::memory_order_relaxed);
    (last_ != nullptr ? last_->next : first_) = &io;
    last_ = &io;
    if (!is_queued()) loop_.load(std::memory_order_relaxed)->run_soon(*this);
}

void ShareBackend::run() {
    for (int served = 0; first_ != nullptr && served < kServedMax; ++served) serve(take_first());
    if (first_ != nullptr) loop_.load(std::memory_order_relaxed)->run_soon(*this);
}

FsIo& ShareBackend::take_first() {
    FsIo& io = *std::exchange(first_, first_->next);
    if (first_ == nullptr) last_ = nullptr;
    return io;
}

void ShareBackend::serve(FsIo& io) {
    Waiting* const waiting = idle_.empty() ? nullptr : idle_.back();
    const std::optional<u32> written =
        server_->serve(io.request, io.room, waiting != nullptr ? &waiting->later() : nullptr);
    if (written) return io.client->on_fs_io_done(io, *written);
    // no guest: FuseServer::serve() leaves a request unanswered only where it was given a Later.
    VERIFY(waiting != nullptr);
    idle_.pop_back();
    waiting->begin(io);
}

void ShareBackend::cancel_all() {
    generation_.fetch_add(1, std::memory_order_acq_rel);
    if (Loop* const loop = loop_.load(std::memory_order_acquire)) loop->post(cancelling_);
}

void ShareBackend::Cancelling::run() {
    Loop& loop = *backend_.loop_.load(std::memory_order_relaxed);
    // The completion may come when the next driver has already begun.
    for (Waiting& waiting : backend_.waiting_)
        if (waiting.io() != nullptr && backend_.is_old(*waiting.io())) loop.cancel(waiting);
    // Requests that have not begun are dropped.
    while (backend_.first_ != nullptr && backend_.is_old(*backend_.first_)) {
        FsIo& io = backend_.take_first();
        io.client->on_fs_io_done(io, 0);
    }
}

void ShareBackend::reset() { server_->reset(); }

void ShareBackend::Waiting::begin(FsIo& io) {
    io_ = &io;
    submit();
}

void ShareBackend::Waiting::submit() {
    Loop& loop = *backend_.loop_.load(std::memory_order_relaxed);
    switch (later_.kind) {
        case Later::Kind::Read: return loop.readv(later_.fd, later_.room, later_.offset_bytes, *this);
        case Later::Kind::Sync: return loop.fsync(later_.fd, false, *this);
        case Later::Kind::SyncData: return loop.fsync(later_.fd, true, *this);
    }
}

void ShareBackend::Waiting::on_complete(i32 result, bool /*has_more*/) {
    if (later_.kind != Later::Kind::Read || result <= 0) return finish(result < 0 ? result : 0);
    if (!later_.advance(static_cast<u64>(result))) return finish(0);
    submit();
}

void ShareBackend::Waiting::finish(i32 error) {
    const u32 written = later_.finish(error);
    FsIo& io = *std::exchange(io_, nullptr);
    backend_.idle_.push_back(this);
    io.client->on_fs_io_done(io, written);
}

}  // namespace mayfly
