// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/streams.h"

#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "firmware/init/ports.h"
#include "firmware/init/system_call.h"

namespace mayfly::init {

namespace {

using channel::Header;
using channel::kFrameBytes;
using channel::RingName;

struct Part {
    void* base;
    u64 size_bytes;
};

u32 load(const u32& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
/// A full barrier: later loads come after it.
void store(u32& word, u32 value) { __atomic_exchange_n(&word, value, __ATOMIC_SEQ_CST); }

u32 number(RingName ring) { return static_cast<u32>(ring); }

u64 frame_of(u64 entry) { return entry & ((u64{1} << 55) - 1); }
bool is_present(u64 entry) { return entry >> 63 != 0; }

}  // namespace

long Streams::make_memory() {
    const u64 size_bytes = u64{1 + frames_} * kFrameBytes;
    const long at = system_call(__NR_mmap, 0, size_bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, ~u64{0}, 0);
    if (at < 0) return at;
    // SAFETY: the kernel gave us these pages.
    header_ = reinterpret_cast<Header*>(at);
    rings_ = reinterpret_cast<u8*>(at) + kFrameBytes;
    // Each page written: an untouched page might be the zero page.
    for (u64 page = 0; page < size_bytes; page += kFrameBytes)
        *(reinterpret_cast<volatile u8*>(at) + page) = 0;
    const long result = system_call(__NR_madvise, static_cast<u64>(at), size_bytes, MADV_DONTFORK);
    return result < 0 ? result : pin();
}

long Streams::pin() const {
    const u64 size_bytes = u64{1 + frames_} * kFrameBytes;
    i32 ends[2] = {-1, -1};
    long result = system_call(__NR_pipe2, address(ends), O_CLOEXEC);
    if (result < 0) return result;
    const u64 end = static_cast<u64>(ends[1]);
    // A place for each page.
    result = system_call(__NR_fcntl, end, F_SETPIPE_SZ, size_bytes);
    if (result < 0) return result;
    for (u64 done = 0; done < size_bytes; done += static_cast<u64>(result)) {
        const Part part{reinterpret_cast<u8*>(header_) + done, size_bytes - done};
        result = system_call(__NR_vmsplice, end, address(&part), 1, 0);
        if (result <= 0) return result == 0 ? -EIO : result;
    }
    return 0;
}

long Streams::note_frames() {
    static u64 entries[1 + channel::kFrames];
    const int file = open_file("/proc/self/pagemap", O_RDONLY);
    if (file < 0) return file;
    const u64 first = address(header_) / kFrameBytes;
    const u64 wanted = u64{1 + frames_} * sizeof(u64);
    const long got =
        system_call(__NR_pread64, static_cast<u64>(file), address(entries), wanted, first * sizeof(u64));
    close_file(file);
    if (got != static_cast<long>(wanted)) return got < 0 ? got : -EIO;
    for (u32 page = 0; page <= frames_; ++page) {
        const u64 frame = frame_of(entries[page]);
        // A frame of 0 is how Linux hides them from users without the right to see them.
        if (!is_present(entries[page]) || frame == 0 || frame >> 32 != 0) return -EPERM;
        if (page == 0)
            header_frame_ = frame;
        else
            header_->frames[page - 1] = static_cast<u32>(frame);
    }
    return 0;
}

long Streams::open(bool has_files) {
    if (has_files) frames_ = channel::kFrames;
    if (const long problem = make_memory(); problem != 0) return problem;
    if (const long problem = note_frames(); problem != 0) return problem;
    wake_.open();
    header_->magic = channel::kMagic;
    store(header_->init_wishes, channel::kWishMessages);
    if (!open_channel(static_cast<u32>(header_frame_)) || load(header_->is_open) == 0) return -ENXIO;
    wake_.learn();
    return 0;
}

u8* Streams::ring_memory(RingName ring) const {
    return rings_ + u64{channel::first_frame_of(ring)} * kFrameBytes;
}

void Streams::grant(u32 wish) {
    if ((load(header_->monitor_wishes) & wish) == 0) return;
    ring_monitor(__atomic_exchange_n(&header_->monitor_wishes, 0, __ATOMIC_SEQ_CST));
}

bool Streams::has_room(RingName ring) const {
    return counts_[number(ring)] - load(header_->rings[number(ring)].consumer.count) !=
           channel::ring_bytes(ring);
}

bool Streams::is_left(RingName ring) const {
    return load(header_->rings[number(ring)].consumer.is_over) != 0;
}

Streams::Room Streams::room(RingName ring, u32 bytes_max) const {
    const u32 count = counts_[number(ring)];
    const u32 size = channel::ring_bytes(ring);
    const u32 used = count - load(header_->rings[number(ring)].consumer.count);
    if (used >= size) return {nullptr, 0};
    const u32 at = count % size;
    const u32 free = size - used < bytes_max ? size - used : bytes_max;
    return {ring_memory(ring) + at, free < size - at ? free : size - at};
}

void Streams::publish(RingName ring, u32 bytes) {
    counts_[number(ring)] += bytes;
    store(header_->rings[number(ring)].producer.count, counts_[number(ring)]);
    grant(channel::wish_of(ring));
}

Streams::Filled Streams::fill(RingName ring, int file, u32 bytes_max) {
    Filled filled{0, kMore};
    for (;;) {
        const Room free = room(ring, bytes_max - filled.bytes);
        if (free.bytes == 0) return filled;
        const long got = system_call(__NR_read, static_cast<u64>(file), address(free.at), free.bytes);
        if (got <= 0) return {filled.bytes, got};
        filled.bytes += static_cast<u32>(got);
        publish(ring, static_cast<u32>(got));
    }
}

u32 Streams::put(RingName ring, const void* from, u32 bytes) {
    u32 done = 0;
    for (;;) {
        const Room free = room(ring, bytes - done);
        if (free.bytes == 0) return done;
        __builtin_memcpy(free.at, static_cast<const u8*>(from) + done, free.bytes);
        done += free.bytes;
        publish(ring, free.bytes);
    }
}

bool Streams::has_input() const {
    return load(header_->rings[number(RingName::Input)].producer.count) != counts_[number(RingName::Input)];
}

bool Streams::is_input_over() const {
    // In this order: nothing is put after the end.
    return load(header_->rings[number(RingName::Input)].producer.is_over) != 0 && !has_input();
}

long Streams::drain(int file) {
    const u32 ring = number(RingName::Input);
    u32& count = counts_[ring];
    const u32 size = channel::ring_bytes(RingName::Input);
    for (;;) {
        const u32 there = load(header_->rings[ring].producer.count) - count;
        if (there == 0) return 0;
        const u32 at = count % size;
        const u64 contiguous = there < size - at ? there : size - at;
        const long put = system_call(__NR_write, static_cast<u64>(file),
                                     address(ring_memory(RingName::Input) + at), contiguous);
        if (put <= 0) return put;
        count += static_cast<u32>(put);
        store(header_->rings[ring].consumer.count, count);
        grant(channel::wish_of(RingName::Input));
    }
}

void Streams::end_output(RingName ring) {
    store(header_->rings[number(ring)].producer.is_over, 1);
    grant(channel::wish_of(ring));
}

void Streams::leave_input() {
    store(header_->rings[number(RingName::Input)].consumer.is_over, 1);
    grant(channel::wish_of(RingName::Input));
}

bool Streams::take_message(channel::Message& message) {
    if (load(header_->messages_put) == messages_taken_) return false;
    message = header_->messages[messages_taken_ % channel::kMessages];
    store(header_->messages_taken, ++messages_taken_);
    return true;
}

bool Streams::wish(u32 wishes) {
    store(header_->init_wishes, wishes);
    const auto has_come = [&](u32 wish, bool is_true) { return (wishes & wish) != 0 && is_true; };
    return has_come(channel::kWishMessages, load(header_->messages_put) != messages_taken_) ||
           has_come(channel::wish_of(RingName::Input), has_input() || is_input_over()) ||
           has_come(channel::wish_of(RingName::Output), has_room(RingName::Output)) ||
           has_come(channel::wish_of(RingName::Error), has_room(RingName::Error)) ||
           has_come(channel::wish_of(RingName::Files), has_room(RingName::Files));
}

}  // namespace mayfly::init
