// SPDX-License-Identifier: Apache-2.0
// An entropy device: it fills buffers, and not always with the same bytes.
// Spec: virtio 1.2 §5.4 "Entropy Device".
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

constinit virtio::Virtqueue requests;

/// The requested bytes come, perhaps in several answers.
bool fetch(u64 at, u32 size_bytes) {
    for (u32 have = 0; have < size_bytes;) {
        const u32 wanted = size_bytes - have;
        const virtio::Segment parts[] = {{at + have, (wanted + 1) / 2, true},
                                         {at + have + (wanted + 1) / 2, wanted / 2, true}};
        if (!requests.add(parts, wanted > 1 ? 2 : 1, 7)) return false;
        requests.kick();
        virtio::Completion completion{};
        if (!take_one(requests, completion) || completion.token != 7) return false;
        if (completion.written_bytes == 0 || completion.written_bytes > wanted) return false;
        have += completion.written_bytes;
    }
    return true;
}

bool are_all_equal(u64 at, u32 size_bytes) {
    for (u32 n = 1; n < size_bytes; ++n) {
        if (io_memory::at<u8>(at + n) != io_memory::at<u8>(at)) return false;
    }
    return true;
}

}  // namespace

void check_entropy(const Transport& transport, const Plan& plan) {
    constexpr u32 kBytes = 64;
    io_memory::release_all();
    u64 features = 0;
    u16 vector = virtio::kNoVector;
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return;
    if (!virtio::negotiate(transport, plan.ring_features | virtio::kVersion1, features)) return;
    if (!requests.start(transport, 0, 16, features, vector)) return;
    virtio::drive(transport);
    const u64 one = io_memory::allocate(kBytes, 64);
    const u64 two = io_memory::allocate(kBytes, 64);
    expect("rng answers", fetch(one, kBytes) && fetch(two, kBytes));
    expect("rng bytes differ", !are_all_equal(one, kBytes) && !are_all_equal(two, kBytes));
    expect("rng answers differ", digest(one, kBytes) != digest(two, kBytes));
    Line{}.add("rng digest ").add_hex(digest(one, kBytes)).print_line();
    expect("rng odd sizes", fetch(one, 1) && fetch(one, 3) && fetch(two, 61));
    if (plan.interrupt != virtio::Interrupt::None) {
        const u32 before = virtio::interrupts_seen;
        const virtio::Segment part{one, 8, true};
        virtio::Completion completion{};
        requests.want_interrupts(true);
        requests.add(&part, 1, 9);
        requests.kick();
        expect("rng interrupt", spin_for(virtio::interrupts_seen, before + 1, kArrivalMicroseconds) &&
                                    take_one(requests, completion));
    }
    expect("rng reset", transport.reset());
}

}  // namespace guest::checks
