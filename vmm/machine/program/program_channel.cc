// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/program/program_channel.h"

#include <algorithm>
#include <cstddef>

#include "vmm/error/verify.h"

namespace mayfly {

namespace {

using channel::Header;
using channel::RingName;

constexpr u64 index_of(RingName ring) { return static_cast<u64>(ring); }

constexpr u64 ring_at(RingName ring) {
    return offsetof(Header, rings) + index_of(ring) * sizeof(channel::Ring);
}
constexpr u64 producer_at(RingName ring) { return ring_at(ring) + offsetof(channel::Ring, producer); }
constexpr u64 consumer_at(RingName ring) { return ring_at(ring) + offsetof(channel::Ring, consumer); }
constexpr u64 count_of(u64 end) { return end + offsetof(channel::RingEnd, count); }
constexpr u64 is_over_of(u64 end) { return end + offsetof(channel::RingEnd, is_over); }

}  // namespace

std::optional<GuestWindow> ProgramChannel::header_at(u32 frame) const {
    return memory_.window(Gpa{u64{frame} * channel::kFrameBytes}, channel::kFrameBytes, channel::kFrameBytes);
}

bool ProgramChannel::are_frames_ram() const {
    return std::ranges::all_of(state_.frames, [&](u32 frame) {
        return memory_.contains(Gpa{u64{frame} * channel::kFrameBytes}, channel::kFrameBytes);
    });
}

bool ProgramChannel::open(u32 header_frame) {
    const Lock lock(mutex_);
    const std::optional<GuestWindow> header = header_at(header_frame);
    if (state_.is_open || !header) return false;
    if (header->load<u32>(offsetof(Header, magic)) != channel::kMagic) return false;
    ProgramChannelState opened{.is_open = true, .header_frame = header_frame, .frames = {}, .counts = {}};
    for (u64 i = 0; i < opened.frames.size(); ++i)
        opened.frames[i] = header->load<u32>(offsetof(Header, frames) + i * sizeof(u32));
    state_ = opened;
    if (!are_frames_ram()) {
        state_ = {};
        return false;
    }
    header_ = *header;
    header_.store_release<u32>(offsetof(Header, is_open), 1);
    return true;
}

std::optional<u32> ProgramChannel::filled(RingName ring) const {
    const bool is_written_by_monitor = ring == RingName::Input;
    const u64 theirs_at = count_of(is_written_by_monitor ? consumer_at(ring) : producer_at(ring));
    const u32 theirs = header_.load_acquire<u32>(theirs_at);
    const u32 ours = state_.counts[index_of(ring)];
    const u32 bytes = is_written_by_monitor ? ours - theirs : theirs - ours;
    if (bytes > channel::ring_bytes(ring)) return std::nullopt;
    return bytes;
}

bool ProgramChannel::has_output_ended(RingName ring) const {
    return header_.load_acquire<u32>(is_over_of(producer_at(ring))) != 0;
}

void ProgramChannel::wish(u32 bit) {
    // Bytes that init takes in between only make it ring once too often.
    const u32 before = header_.load<u32>(offsetof(Header, monitor_wishes));
    header_.store_fenced<u32>(offsetof(Header, monitor_wishes), before | bit);
}

void ProgramChannel::grant(u32 bit) {
    if ((header_.load_fenced<u32>(offsetof(Header, init_wishes)) & bit) == 0) return;
    header_.store_fenced<u32>(offsetof(Header, init_wishes), 0);
    wake_();
}

template <typename Copy>
void ProgramChannel::for_pieces(RingName ring, u32 bytes, Copy copy) const {
    const u32 first = channel::first_frame_of(ring);
    u32 at = state_.counts[index_of(ring)] % channel::ring_bytes(ring);
    for (u32 done = 0; done < bytes;) {
        const u32 in_frame = at % channel::kFrameBytes;
        const u32 piece = std::min(bytes - done, channel::kFrameBytes - in_frame);
        const u64 frame = state_.frames[first + at / channel::kFrameBytes];
        copy(Gpa{frame * channel::kFrameBytes + in_frame}, done, piece);
        done += piece;
        at = (at + piece) % channel::ring_bytes(ring);
    }
}

ProgramChannel::Moved ProgramChannel::take(RingName from, std::span<std::byte> into) {
    const Lock lock(mutex_);
    if (!state_.is_open) return {Outcome::Nothing, 0};
    // In this order: nothing is put after the end.
    bool has_ended = has_output_ended(from);
    std::optional<u32> there = filled(from);
    if (there == 0U && !has_ended) {
        wish(channel::wish_of(from));
        has_ended = has_output_ended(from);
        there = filled(from);
    }
    if (!there) return {Outcome::Broken, 0};
    if (*there == 0) return {has_ended ? Outcome::Over : Outcome::Nothing, 0};
    const u32 bytes = static_cast<u32>(std::min<std::size_t>(*there, into.size()));
    for_pieces(from, bytes, [&](Gpa at, u32 done, u32 piece) {
        // no guest: open() found every frame in RAM.
        VERIFY(memory_.read(at, into.subspan(done, piece)) == MemStatus::Ok);
    });
    u32& count = state_.counts[index_of(from)];
    count += bytes;
    header_.store_fenced<u32>(count_of(consumer_at(from)), count);
    // Waking init costs more than a copy: once per half a ring.
    if (*there - bytes <= channel::ring_bytes(from) / 2) grant(channel::wish_of(from));
    return {Outcome::Done, bytes};
}

void ProgramChannel::leave(RingName from) {
    const Lock lock(mutex_);
    if (!state_.is_open) return;
    header_.store_fenced<u32>(is_over_of(consumer_at(from)), 1);
    grant(channel::wish_of(from));
}

ProgramChannel::Moved ProgramChannel::room() {
    const Lock lock(mutex_);
    if (!state_.is_open) return {Outcome::Nothing, 0};
    if (header_.load_acquire<u32>(is_over_of(consumer_at(RingName::Input))) != 0) return {Outcome::Over, 0};
    const u32 size = channel::ring_bytes(RingName::Input);
    std::optional<u32> there = filled(RingName::Input);
    if (there == size) {
        wish(channel::wish_of(RingName::Input));
        there = filled(RingName::Input);
    }
    if (!there) return {Outcome::Broken, 0};
    return {*there == size ? Outcome::Nothing : Outcome::Done, size - *there};
}

ProgramChannel::Moved ProgramChannel::put(std::span<const std::byte> bytes) {
    Moved moved{Outcome::Done, 0};
    // Until the ring is full, where room() asks for a doorbell.
    while (moved.bytes < bytes.size() && moved.outcome == Outcome::Done) {
        const Moved piece = put_some(bytes.subspan(moved.bytes));
        moved = {piece.outcome, moved.bytes + piece.bytes};
    }
    return moved;
}

ProgramChannel::Moved ProgramChannel::put_some(std::span<const std::byte> bytes) {
    const Moved free = room();
    if (free.outcome != Outcome::Done) return free;
    const Lock lock(mutex_);
    const u32 piece_bytes = static_cast<u32>(std::min<std::size_t>(free.bytes, bytes.size()));
    for_pieces(RingName::Input, piece_bytes, [&](Gpa at, u32 done, u32 piece) {
        // no guest: open() found every frame in RAM.
        VERIFY(memory_.write(at, bytes.subspan(done, piece)) == MemStatus::Ok);
    });
    u32& count = state_.counts[index_of(RingName::Input)];
    count += piece_bytes;
    header_.store_fenced<u32>(count_of(producer_at(RingName::Input)), count);
    if (piece_bytes == free.bytes) grant(channel::wish_of(RingName::Input));
    return {Outcome::Done, piece_bytes};
}

void ProgramChannel::tell_of_input() {
    const Lock lock(mutex_);
    if (state_.is_open) grant(channel::wish_of(RingName::Input));
}

void ProgramChannel::end_input() {
    const Lock lock(mutex_);
    if (!state_.is_open) return;
    header_.store_fenced<u32>(is_over_of(producer_at(RingName::Input)), 1);
    grant(channel::wish_of(RingName::Input));
}

bool ProgramChannel::send(channel::Message message) {
    const Lock lock(mutex_);
    if (!state_.is_open) return false;
    const u32 taken = header_.load_acquire<u32>(offsetof(Header, messages_taken));
    const bool is_full = state_.messages_put - taken >= channel::kMessages;
    if (!is_full) {
        const u64 at = offsetof(Header, messages) +
                       u64{state_.messages_put % channel::kMessages} * sizeof(channel::Message);
        header_.store<u32>(at + offsetof(channel::Message, kind), static_cast<u32>(message.kind));
        header_.store<u32>(at + offsetof(channel::Message, value), message.value);
        header_.store_fenced<u32>(offsetof(Header, messages_put), ++state_.messages_put);
    }
    grant(channel::kWishMessages);
    return !is_full;
}

ProgramChannelState ProgramChannel::save() const {
    const Lock lock(mutex_);
    return state_;
}

bool ProgramChannel::restore(const ProgramChannelState& state) {
    const Lock lock(mutex_);
    state_ = state;
    if (!state.is_open) return true;
    const std::optional<GuestWindow> header = header_at(state.header_frame);
    if (!header || !are_frames_ram()) {
        state_ = {};
        return false;
    }
    header_ = *header;
    return true;
}

}  // namespace mayfly
