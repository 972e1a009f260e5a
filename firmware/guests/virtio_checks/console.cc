// SPDX-License-Identifier: Apache-2.0
// A console: prints, tells its size, and with `echo=1` echoes its input, up to a q; with `sizes=1` it answers
// an s by the size.
// Spec: virtio 1.2 §5.3 "Console Device".
#include "firmware/guests/runtime/boot_info.h"
#include "firmware/guests/virtio_checks/checks.h"

namespace guest::checks {
namespace {

constexpr u16 kReceive = 0;
constexpr u16 kSend = 1;
constexpr u64 kSize = 1;
constexpr u32 kInputBytes = 64;
constexpr u16 kInputs = 4;
constexpr u32 kEchoSeconds = 10;

constinit virtio::Virtqueue queues[2];

bool write(u64 at, Text text) {
    for (u64 n = 0; n < text.size_bytes; ++n) io_memory::at<char>(at + n) = text.data[n];
    // In two pieces where there are two: none may be empty.
    const u32 half = static_cast<u32>(text.size_bytes + 1) / 2;
    const u32 rest = static_cast<u32>(text.size_bytes) - half;
    const virtio::Segment parts[] = {{at, half, false}, {at + half, rest, false}};
    virtio::Completion completion{};
    if (!queues[kSend].add(parts, rest != 0 ? 2 : 1, 3)) return false;
    queues[kSend].kick();
    return take_one(queues[kSend], completion) && completion.token == 3;
}

void show_size(const Transport& transport, u64 features) {
    if ((features & kSize) == 0) return;
    const u32 both = transport.config32(0);
    Line{}.add("console size ").add_decimal(both & 0xffff).add("x").add_decimal(both >> 16).print_line();
}

/// Echoes until a q comes; the number of bytes before it, or all ones after ten seconds.
u64 echo(const Transport& transport, u64 features, u64 inputs, u64 output) {
    const u64 end = read_tsc() + u64{tsc_ticks(1'000'000)} * kEchoSeconds;
    const bool are_sizes_asked = option_value("sizes", 0) != 0;
    u64 count = 0;
    while (read_tsc() < end) {
        virtio::Completion completion{};
        if (!queues[kReceive].take(completion)) {
            pause();
            continue;
        }
        const u64 at = inputs + completion.token * u64{kInputBytes};
        for (u32 n = 0; n < completion.written_bytes; ++n) {
            const char letter = io_memory::at<char>(at + n);
            if (letter == 'q') return count;
            if (letter == 's' && are_sizes_asked) {
                show_size(transport, features);
                continue;
            }
            if (!write(output, {&letter, 1})) return ~u64{0};
            ++count;
        }
        const virtio::Segment room{at, kInputBytes, true};
        queues[kReceive].add(&room, 1, completion.token);
        queues[kReceive].kick();
    }
    return ~u64{0};
}

}  // namespace

void check_console(const Transport& transport, const Plan& plan) {
    io_memory::release_all();
    u64 features = 0;
    u16 vector = virtio::kNoVector;
    if (!virtio::connect_interrupts(transport, plan.interrupt, vector)) return;
    if (!virtio::negotiate(transport, plan.ring_features | virtio::kVersion1 | kSize, features)) return;
    for (u16 n = 0; n < 2; ++n) {
        const u16 entry = vector == virtio::kNoVector ? vector : n;
        if (!queues[n].start(transport, n, 64, features, entry)) return;
    }
    virtio::drive(transport);
    const u64 output = io_memory::allocate(256, 64);
    const u64 inputs = io_memory::allocate(u64{kInputs} * kInputBytes, 64);
    for (u16 n = 0; n < kInputs; ++n) {
        const virtio::Segment room{inputs + u64{n} * kInputBytes, kInputBytes, true};
        queues[kReceive].add(&room, 1, n);
    }
    queues[kReceive].kick();
    show_size(transport, features);
    bool good = true;
    for (u32 n = 0; n < 8; ++n) good = good && write(output, "hvc: a line of the virtio console\n");
    expect("console prints", good);
    if (option_value("echo", 0) != 0) {
        const bool is_interrupt_wanted = plan.interrupt != virtio::Interrupt::None;
        if (is_interrupt_wanted) queues[kReceive].want_interrupts(true);
        const u32 before = virtio::interrupts_seen;
        print("console ready\n");
        // Before any input is taken: input taken before the device reads our request needs no interrupt.
        const bool came =
            is_interrupt_wanted && spin_for(virtio::interrupts_seen, before + 1, kArrivalMicroseconds);
        const u64 count = echo(transport, features, inputs, output);
        Line{}.add("console echoed ").add_decimal(count).print_line();
        expect("console echoes", count != ~u64{0});
        if (is_interrupt_wanted) expect("console interrupt", came);
        show_size(transport, features);
    }
    expect("console reset", transport.reset());
}

}  // namespace guest::checks
