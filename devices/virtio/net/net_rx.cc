// SPDX-License-Identifier: Apache-2.0
// Receiving: ReceiveWindow, and the part of Net that fills it from the backend.
#include "devices/virtio/net/net_rx.h"

#include <algorithm>

#include "devices/virtio/net/net.h"
#include "vmm/error/verify.h"

namespace mayfly {

ReceiveWindow::ReceiveWindow()
    : parts_(std::make_unique_for_overwrite<iovec[]>(kPartsMax)),
      chains_(std::make_unique_for_overwrite<Held[]>(kChainsMax)) {}

bool ReceiveWindow::is_full() const {
    return chain_count_ == kChainsMax || part_end_ - part_begin_ >= kPartsPerReadMax;
}

std::span<const iovec> ReceiveWindow::parts() const {
    return {parts_.get() + part_begin_, std::min(part_end_ - part_begin_, kPartsPerReadMax)};
}

void ReceiveWindow::make_room() {
    if (kPartsMax - part_end_ >= kPartsPerChainMax) return;
    std::copy(parts_.get() + part_begin_, parts_.get() + part_end_, parts_.get());
    part_end_ -= part_begin_;
    part_begin_ = 0;
}

ReceiveWindow::Added ReceiveWindow::add(VirtQueue& ring, u64 bytes_min) {
    // no guest: fill_window() asks is_full() before each add().
    VERIFY(!is_full());
    make_room();
    const auto [popped, chain] = ring.pop({parts_.get() + part_end_, kPartsPerChainMax});
    switch (popped) {
        case PopResult::Empty: return Added::RingEmpty;
        case PopResult::Broken: return Added::RingBroken;
        case PopResult::Chain: break;
    }
    if (!chain.readable.empty() || chain.writable_bytes < bytes_min) return Added::Unfit;
    // no guest: nothing readable is in front of it, so it begins where the chain was popped to.
    VERIFY(chain.writable.data() == parts_.get() + part_end_);
    const auto part_count = static_cast<u16>(chain.writable.size());
    chains_[(chain_begin_ + chain_count_) % kChainsMax] = {.bytes = chain.writable_bytes,
                                                           .id = chain.token.id,
                                                           .descriptor_count = chain.token.descriptor_count,
                                                           .part_count = part_count};
    ++chain_count_;
    part_end_ += part_count;
    room_bytes_ += chain.writable_bytes;
    return Added::Yes;
}

u16 ReceiveWindow::chains_for(u64 frame_bytes) const {
    // no guest: receive_one() checked what the backend said.
    VERIFY(frame_bytes <= room_bytes_);
    u16 count = 0;
    for (u64 held = 0; held < frame_bytes; ++count)
        held += chains_[(chain_begin_ + count) % kChainsMax].bytes;
    return count;
}

void ReceiveWindow::push(VirtQueue& ring, u64 frame_bytes) {
    // no guest: receive_one() checked what the backend said.
    VERIFY(frame_bytes <= room_bytes_);
    while (frame_bytes > 0) {
        const Held& held = chains_[chain_begin_];
        const u64 written = std::min(frame_bytes, held.bytes);
        ring.push(held.token(), static_cast<u32>(written));
        frame_bytes -= written;
        room_bytes_ -= held.bytes;
        part_begin_ += held.part_count;
        chain_begin_ = (chain_begin_ + 1) % kChainsMax;
        --chain_count_;
    }
    if (chain_count_ == 0) part_begin_ = part_end_ = 0;
}

void ReceiveWindow::give_back(VirtQueue& ring) {
    for (; chain_count_ > 0; --chain_count_)
        ring.unpop(chains_[(chain_begin_ + chain_count_ - 1) % kChainsMax].token());
    clear();
}

void ReceiveWindow::clear() {
    part_begin_ = part_end_ = 0;
    chain_begin_ = chain_count_ = 0;
    room_bytes_ = 0;
}

/// False when there is nothing to receive into now.
bool Net::fill_window(VirtQueue& ring, ReceiveWindow& window) {
    // Without merged buffers a frame has one chain, large enough or not.
    const u64 wanted = has(virtio_net::F_MRG_RXBUF) ? virtio_net::kFrameBytesMax + active_.header_bytes : 1;
    while (window.room_bytes() < wanted && !window.is_full()) {
        const ReceiveWindow::Added added = window.add(ring, active_.header_bytes);
        if (added == ReceiveWindow::Added::Yes) continue;
        if (added == ReceiveWindow::Added::Unfit) {
            // virtio 1.2 §5.1.6.3.1 "Driver Requirements: Setting Up Receive Buffers"
            fail("a receive buffer is shorter than the header, or is not for writing");
            return false;
        }
        if (added == ReceiveWindow::Added::RingBroken) {
            fail(ring.why_broken());
            return false;
        }
        return !window.is_empty();
    }
    return true;
}

Net::Step Net::receive_one(u16 pair, VirtQueue& ring, ReceiveWindow& window) {
    if (is_refused_) return Step::Wait;
    const auto [status, frame_bytes] = backend_.receive(pair, window.parts());
    switch (status) {
        case NetStatus::Done: break;
        case NetStatus::Dropped: ++counts_.receive_dropped; return Step::Next;
        case NetStatus::Wait:
        case NetStatus::Down: return Step::Wait;
    }
    // no guest: a backend's frame has the header size that configure() set, and one that does not fit in
    // parts() is Dropped (Tap::receive(), Passt::deliver()).
    VERIFY(frame_bytes >= active_.header_bytes && frame_bytes <= window.room_bytes());
    if (active_.header_bytes == virtio_net::kHeaderBytes) {
        // virtio 1.2 §5.1.6.4.1 "Device Requirements: Processing of Incoming Packets": 1 without merged
        // buffers.
        const u16 count = window.chains_for(frame_bytes);
        // no guest: add() took no chain shorter than a header, and parts() shows at least that much of the
        // first one.
        VERIFY(
            copy_to_parts(window.parts(), virtio_net::HDR_NUM_BUFFERS, std::as_bytes(std::span(&count, 1))));
    }
    window.push(ring, frame_bytes);
    const u64 payload_bytes = frame_bytes - active_.header_bytes;
    ring.counts.bytes += payload_bytes;
    ++counts_.received;
    count_against(receive_limits_, payload_bytes);
    return Step::Next;
}

Progress Net::receive(u16 pair, u32 budget) {
    const auto index = static_cast<u16>(2 * pair);
    VirtQueue& ring = queue(index);
    ReceiveWindow& window = windows_[pair];
    for (u32 done = 0; done < budget; ++done) {
        // The frame's size is not known yet: its tokens are taken afterwards.
        if (const std::optional<u64> deadline = passes_at(receive_limits_, 1)) {
            host()->run_at(index, *deadline);
            return Progress::Waiting;
        }
        if (!fill_window(ring, window)) return active_.has_failed ? Progress::Waiting : Progress::Drained;
        if (receive_one(pair, ring, window) == Step::Wait) return Progress::Waiting;
    }
    return Progress::More;
}

}  // namespace mayfly
