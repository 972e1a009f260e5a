// SPDX-License-Identifier: Apache-2.0
// The parts of the guest `virtio`: each drives one kind of device and reports what did not work. Ring 3.
#pragma once

#include "firmware/guests/runtime/clock.h"
#include "firmware/guests/runtime/io_memory.h"
#include "firmware/guests/runtime/user.h"
#include "firmware/guests/runtime/virtio_options.h"
#include "firmware/guests/runtime/virtqueue.h"

namespace guest::checks {

using virtio::Transport;

constexpr u32 kQuietMicroseconds = 5'000;

/// The requests of the command line.
struct Plan {
    u64 ring_features;
    virtio::Interrupt interrupt;
};

void check_block(const Transport& transport, const Plan& plan);
void check_net(const Transport& transport, const Plan& plan);
void check_net_starved(const Transport& transport, const Plan& plan);
void check_net_link(const Transport& transport, const Plan& plan);
void check_net_arp(const Transport& transport, const Plan& plan);
void check_net_back(const Transport& transport, const Plan& plan);
void check_net_pairs(const Transport& transport, const Plan& plan);
void check_fairness(const Plan& plan);
void check_console(const Transport& transport, const Plan& plan);
void check_entropy(const Transport& transport, const Plan& plan);
void check_share(const Transport& transport, const Plan& plan);
void check_journal(const Transport& transport, const Plan& plan);

/// Writes 64-bit words that depend on `seed` and their place.
inline void fill(u64 at, u64 size_bytes, u64 seed) {
    for (u64 n = 0; n < size_bytes; n += 8)
        io_memory::at<u64>(at + n) = (seed << 32 ^ n) * 0x9e37'79b9'7f4a'7c15 + seed;
}

inline bool is_filled(u64 at, u64 size_bytes, u64 seed) {
    for (u64 n = 0; n < size_bytes; n += 8) {
        if (io_memory::at<u64>(at + n) != (seed << 32 ^ n) * 0x9e37'79b9'7f4a'7c15 + seed) return false;
    }
    return true;
}

inline bool is_all(u64 at, u64 size_bytes, u64 word) {
    for (u64 n = 0; n < size_bytes; n += 8) {
        if (io_memory::at<u64>(at + n) != word) return false;
    }
    return true;
}

/// A sum that changes when any of the words does.
inline u64 digest(u64 at, u64 size_bytes) {
    u64 sum = 0;
    for (u64 n = 0; n < size_bytes; n += 8) sum = (sum << 1 | sum >> 63) ^ io_memory::at<u64>(at + n);
    return sum;
}

/// Takes one completion, waiting for it; false after kArrivalMicroseconds.
inline bool take_one(virtio::Virtqueue& queue, virtio::Completion& completion) {
    const u64 end = read_tsc() + tsc_ticks(kArrivalMicroseconds);
    while (!queue.take(completion)) {
        if (read_tsc() > end) return false;
        pause();
    }
    return true;
}

}  // namespace guest::checks
