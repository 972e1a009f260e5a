// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/console.h"

#include <algorithm>

#include "devices/virtio/virtio_spec.h"
#include "vmm/error/verify.h"

namespace mayfly {

using virtio_console::RECEIVEQ;
using virtio_console::TRANSMITQ;

Console::Console(std::string name, ConsoleSink& sink, u16 cols, u16 rows)
    : name_(std::move(name)),
      sink_(sink),
      state_{.config = {.cols = cols, .rows = rows, .max_nr_ports = 1, .emerg_wr = 0}} {}

u16 Console::device_id() const { return virtio::ID_CONSOLE; }

u64 Console::features() const { return virtio_console::F_SIZE | virtio_console::F_EMERG_WRITE; }

std::span<const u16> Console::queue_sizes() const {
    static constexpr std::array<u16, 2> kSizes{kQueueSize, kQueueSize};
    return kSizes;
}

std::span<const std::byte> Console::config() const { return std::as_bytes(std::span(&state_.config, 1)); }

void Console::write_config(u32 offset_bytes, std::span<const std::byte> bytes) {
    // virtio 1.2 §5.3.5.1 "Device Requirements: Device Initialization": "The device SHOULD transmit the lower
    // byte written to emerg_wr to an appropriate log or output method", "even on an unconfigured device". A
    // write without the lower byte is ignored.
    constexpr u32 kEmergency = offsetof(virtio_console::Config, emerg_wr);
    if (offset_bytes > kEmergency || kEmergency - offset_bytes >= bytes.size()) return;
    std::byte byte = bytes[kEmergency - offset_bytes];
    const iovec part{&byte, 1};
    sink_.write({&part, 1});
}

void Console::start(u64 /*features*/, DeviceHost& host) {
    host_ = &host;
    state_.wants_room = true;
    (void)look_for_room();  // without room, the first doorbell comes unasked
}

void Console::stop() {
    host_ = nullptr;
    state_.wants_room = false;
    state_.written_bytes = 0;
    output_ = {};
}

void Console::give_back() {
    if (output_.is_pending) host_->queue(TRANSMITQ).unpop(output_.token);
    output_ = {};
}

void Console::resize(u16 cols, u16 rows) {
    if (state_.config.cols == cols && state_.config.rows == rows) return;
    state_.config.cols = cols;
    state_.config.rows = rows;
    if (host_ != nullptr) host_->config_changed();
}

bool Console::restore(const State& state) {
    const virtio_console::Config& config = state.config;
    if (config.max_nr_ports != 1 || config.emerg_wr != 0) return false;
    if (host_ == nullptr && (state.wants_room || state.written_bytes != 0)) return false;
    state_ = state;
    return true;
}

std::size_t Console::receive(std::span<const u8> bytes) {
    if (host_ == nullptr) return 0;  // start() calls on_room()
    VirtQueue& queue = host_->queue(RECEIVEQ);
    std::size_t taken = 0;
    bool is_pushed = false;
    std::array<iovec, kQueueSize> parts;
    while (taken < bytes.size()) {
        const auto [result, chain] = queue.pop(parts);
        if (result == PopResult::Empty) {
            state_.wants_room = true;
            host_->run_again(RECEIVEQ);
            break;
        }
        if (result == PopResult::Broken) {
            host_->fail(queue.why_broken());
            break;
        }
        // virtio 1.2 §5.3.6.1 "Driver Requirements: Device Operation": "The driver MUST NOT put a
        // device-readable buffer in a receiveq." Such a buffer is ignored.
        const std::size_t size = std::min<u64>(chain.writable_bytes, bytes.size() - taken);
        // no guest: `size` is at most the chain's writable bytes, which ChainParts added up from these parts.
        VERIFY(copy_to_parts(chain.writable, 0, std::as_bytes(bytes.subspan(taken, size))));
        queue.push(chain.token, static_cast<u32>(size));
        queue.counts.bytes += size;
        taken += size;
        is_pushed = true;
    }
    if (is_pushed) host_->completed(RECEIVEQ);
    return taken;
}

Progress Console::process(u16 queue, u32 budget) {
    if (host_ == nullptr) return Progress::Waiting;
    if (queue == RECEIVEQ) return look_for_room();
    return queue == TRANSMITQ ? transmit(budget) : Progress::Waiting;
}

Progress Console::look_for_room() {
    // Buffers wait for input, not for work: a doorbell is useless before receive() has used them up.
    if (!state_.wants_room) return Progress::Waiting;
    if (!host_->queue(RECEIVEQ).has_work()) return Progress::Drained;
    state_.wants_room = false;
    sink_.on_room();
    return Progress::Waiting;
}

u64 Console::write_output(u64 bytes_max) {
    std::array<iovec, kQueueSize> piece;
    std::size_t count = 0;
    u64 size_bytes = 0;
    for (const iovec& part : output_.rest) {
        if (size_bytes == bytes_max) break;
        piece[count] = {part.iov_base, std::min<u64>(part.iov_len, bytes_max - size_bytes)};
        size_bytes += piece[count++].iov_len;
    }
    if (count != 0) sink_.write(std::span(piece).first(count));
    host_->queue(TRANSMITQ).counts.bytes += size_bytes;
    output_.rest = drop_front(output_.rest, size_bytes);
    state_.written_bytes += size_bytes;
    return size_bytes;
}

Progress Console::transmit(u32 budget) {
    VirtQueue& queue = host_->queue(TRANSMITQ);
    u64 left = kBytesPerCallMax;
    for (; budget > 0 && left > 0; --budget) {
        if (!output_.is_pending) {
            const auto [result, chain] = queue.pop(output_parts_);
            if (result != PopResult::Chain)
                return result == PopResult::Empty ? Progress::Drained : Progress::Waiting;
            // virtio 1.2 §5.3.6.1 "Driver Requirements: Device Operation": "The driver MUST NOT put a
            // device-writable buffer in a transmitq." Such a buffer is ignored. The driver may have made it
            // shorter than what was written of it.
            const u64 written_bytes = std::min(state_.written_bytes, chain.readable_bytes);
            output_ = {
                .is_pending = true, .token = chain.token, .rest = drop_front(chain.readable, written_bytes)};
        }
        left -= write_output(left);
        if (!output_.rest.empty()) break;
        output_.is_pending = false;
        state_.written_bytes = 0;
        queue.push(output_.token, 0);
    }
    return Progress::More;
}

}  // namespace mayfly
