// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/fs/fs.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

Result<std::unique_ptr<Fs>> Fs::create(Options options, FsBackend& backend) {
    if (options.tag.empty() || options.tag.size() > fs::TAG_BYTES)
        return mayfly::fail(
            Error::invalid(fmt::format("{}: the tag '{}' has {} bytes, not 1 to {}", options.name,
                                       options.tag, options.tag.size(), fs::TAG_BYTES)));
    FsSlots high_priority = TRY(FsSlots::create(kHighPrioritySize));
    FsSlots requests = TRY(FsSlots::create(kRequestsMax));
    return std::unique_ptr<Fs>(
        new Fs(std::move(options), backend,
               {Queue{.slots = std::move(high_priority)}, Queue{.slots = std::move(requests)}}));
}

Fs::Fs(Options options, FsBackend& backend, std::array<Queue, kQueues> queues)
    : options_(std::move(options)), backend_(backend), queues_(std::move(queues)) {
    std::memcpy(config_.tag, options_.tag.data(), options_.tag.size());
    config_.num_request_queues = kRequestQueues;
}

u16 Fs::device_id() const { return virtio::ID_FS; }

std::span<const u16> Fs::queue_sizes() const {
    static constexpr std::array<u16, kQueues> kSizes{kHighPrioritySize, kRequestsSize};
    return kSizes;
}

std::span<const std::byte> Fs::config() const { return std::as_bytes(std::span(&config_, 1)); }

void Fs::write_config(u32 /*offset_bytes*/, std::span<const std::byte> /*bytes*/) {}

void Fs::start(u64 /*features*/, DeviceHost& host) { host_ = &host; }

void Fs::stop() {
    // no guest: VirtioCore::reset() waited for that, and has held the lock since.
    VERIFY(in_flight() == 0);
    host_ = nullptr;
    has_failed_ = false;
    for (Queue& queue : queues_) queue.is_waiting = false;
    is_session_over_ = true;
}

u32 Fs::in_flight() const {
    u32 count = 0;
    for (const Queue& queue : queues_) count += queue.slots.taken_count();
    return count;
}

Progress Fs::process(u16 queue, u32 budget) {
    // no guest: VirtioCore::run_queue() asks only between start() and stop(), and for a queue that runs.
    VERIFY(host_ != nullptr && queue < kQueues);
    // Here, and not in stop(), which a vCPU's thread calls: the loop may still be returning from the backend.
    if (std::exchange(is_session_over_, false)) backend_.reset();
    VirtQueue& from = host_->queue(queue);
    for (; budget > 0; --budget) {
        if (has_failed_) return Progress::Waiting;
        FsSlot* const slot = queues_[queue].slots.take();
        if (slot == nullptr) {
            queues_[queue].is_waiting = true;
            return Progress::Waiting;
        }
        const Popped popped = from.pop(slot->parts);
        if (popped.result == PopResult::Chain && popped.chain.readable_bytes != 0) {
            begin(queue, *slot, popped.chain);
            continue;
        }
        queues_[queue].slots.give_back(*slot);
        if (popped.result == PopResult::Empty) return Progress::Drained;
        fail(popped.result == PopResult::Broken ? from.why_broken()
                                                : "a file system request without a request");
    }
    return has_failed_ ? Progress::Waiting : Progress::More;
}

void Fs::begin(u16 queue, FsSlot& slot, const Chain& chain) {
    slot.client = this;
    slot.request = chain.readable;
    slot.room = chain.writable;
    slot.queue = queue;
    slot.token = chain.token;
    host_->queue(queue).counts.bytes += chain.readable_bytes;
    backend_.start(slot);
}

void Fs::on_fs_io_done(FsIo& io, u32 written_bytes) {
    // no guest: the request's slot is taken, and VirtioCore::reset() calls stop() when none is.
    VERIFY(host_ != nullptr);
    const Lock lock(host_->mutex());
    // SAFETY: only begin() gives the backend an FsIo, and it is an FsSlot.
    auto& slot = static_cast<FsSlot&>(io);
    const u16 index = slot.queue;
    VirtQueue& queue = host_->queue(index);
    queue.counts.bytes += written_bytes;
    queue.push(slot.token, written_bytes);
    queues_[index].slots.give_back(slot);
    if (std::exchange(queues_[index].is_waiting, false)) host_->run_again(index);
    host_->completed(index);
}

void Fs::fail(std::string_view why) {
    has_failed_ = true;
    host_->fail(why);
}

}  // namespace mayfly
