// SPDX-License-Identifier: Apache-2.0
// Split and packed rings.
#include "firmware/guests/runtime/virtqueue.h"

#include "firmware/guests/runtime/io_memory.h"

namespace guest::virtio {
namespace {

constexpr u16 kNext = 1;
constexpr u16 kWrite = 2;
constexpr u16 kIndirectFlag = 4;
constexpr u16 kAvail = 1 << 7;
constexpr u16 kUsed = 1 << 15;

// Split: flags of the two rings.
constexpr u16 kNoInterrupt = 1;
constexpr u16 kNoNotify = 1;
// Packed: virtio 1.2 §2.8.10 "Event Suppression Structure Layout".
constexpr u16 kEventEnable = 0;
constexpr u16 kEventDisable = 1;
constexpr u16 kEventDescriptor = 2;
constexpr u16 kWrapBit = 1 << 15;

constexpr u32 kDescriptorBytes = 16;
constexpr u16 kFarAway = 0x7fff;
constexpr u16 kTooNear = 0x3fff;

struct Descriptor {
    u64 address;
    u32 size_bytes;
    u16 flags;  // packed: the buffer id
    u16 next;   // packed: the flags
};
static_assert(sizeof(Descriptor) == kDescriptorBytes);

using io_memory::at;

/// x86 keeps stores in order, and loads; only the compiler must be told.
void compiler_barrier() { asm volatile("" : : : "memory"); }
/// A store, then a load of what the other side wrote: the one order that x86 does not keep.
void full_barrier() { asm volatile("lock; addl $0, (%%rsp)" : : : "memory", "cc"); }

/// virtio 1.2 §2.6.7.2 "Device Requirements: Used Buffer Notification Suppression", both ways round.
bool is_event_passed(u16 event, u16 now, u16 before) {
    return static_cast<u16>(now - event - 1) < static_cast<u16>(now - before);
}

void fill_table(u64 table, const Segment* segments, u32 count, bool is_packed) {
    for (u32 n = 0; n < count; ++n) {
        volatile Descriptor& entry = at<Descriptor>(table + n * kDescriptorBytes);
        const u16 write = segments[n].is_writable ? kWrite : 0;
        const bool is_last = n + 1 == count;
        entry.address = segments[n].address;
        entry.size_bytes = segments[n].size_bytes;
        entry.flags = is_packed ? u16{0} : static_cast<u16>(write | (is_last ? 0 : kNext));
        entry.next = is_packed ? write : static_cast<u16>(is_last ? 0 : n + 1);
    }
}

}  // namespace

bool Virtqueue::start(const Transport& transport, u16 index, u16 size_max, u64 features, u16 vector) {
    u16 size = transport.queue_size_max(index);
    if (transport.kind() != Kind::Legacy && size > size_max) size = size_max;
    if (size == 0 || size > kSizeMax) {
        fail("virtqueue: no such queue, or one too large");
        return false;
    }
    index_ = index;
    size_ = size;
    mask_ = static_cast<u16>(size - 1);
    is_packed_ = (features & kPacked) != 0;
    has_event_idx_ = (features & kEventIdx) != 0;
    counters = {};
    // The legacy layout, which suits all transports: one block, the used ring at the next page.
    const u64 used_offset = align_up(size * u64{kDescriptorBytes} + 6 + size * 2U, 0x1000);
    at_.descriptors = io_memory::allocate(used_offset + 6 + size * 8U, 0x1000);
    at_.driver_area = at_.descriptors + size * u64{kDescriptorBytes};
    at_.device_area = at_.descriptors + used_offset;
    tables_ = 0;
    if ((features & kIndirect) != 0)
        tables_ = io_memory::allocate(u64{size} * kSegmentsMax * kDescriptorBytes, 64);
    next_ = last_used_ = kicked_ = event_ = free_head_ = 0;
    avail_wrap_ = used_wrap_ = true;
    free_count_ = size;
    for (u16 n = 0; n < size; ++n) free_next_[n] = static_cast<u16>(n + 1);
    want_interrupts(false);
    const bool is_accepted = transport.enable_queue(index, size, at_, vector);
    if (!is_accepted) fail("virtqueue: vector refused");
    doorbell_ = transport.doorbell(index);
    return is_accepted;
}

bool Virtqueue::add(const Segment* segments, u32 count, u16 token) {
    const bool is_indirect = tables_ != 0 && count > 1 && count <= kSegmentsMax;
    if (free_count_ < (is_indirect ? 1 : count)) return false;
    if (is_packed_) {
        add_packed(segments, count, token);
    } else {
        add_split(segments, count, token);
    }
    return true;
}

void Virtqueue::add_split(const Segment* segments, u32 count, u16 token) {
    const u16 head = free_head_;
    if (tables_ != 0 && count > 1 && count <= kSegmentsMax) {
        const u64 table = tables_ + u64{head} * kSegmentsMax * kDescriptorBytes;
        fill_table(table, segments, count, false);
        volatile Descriptor& entry = at<Descriptor>(at_.descriptors + u64{head} * kDescriptorBytes);
        entry.address = table;
        entry.size_bytes = count * kDescriptorBytes;
        entry.flags = kIndirectFlag;
        free_head_ = free_next_[head];
        count = 1;
    } else {
        for (u32 n = 0; n < count; ++n) {
            volatile Descriptor& entry = at<Descriptor>(at_.descriptors + u64{free_head_} * kDescriptorBytes);
            entry.address = segments[n].address;
            entry.size_bytes = segments[n].size_bytes;
            entry.flags =
                static_cast<u16>((segments[n].is_writable ? kWrite : 0) | (n + 1 < count ? kNext : 0));
            entry.next = free_next_[free_head_];
            free_head_ = free_next_[free_head_];
        }
    }
    free_count_ = static_cast<u16>(free_count_ - count);
    counts_[head] = static_cast<u16>(count);
    tokens_[head] = token;
    at<u16>(at_.driver_area + 4 + (next_ & mask_) * 2U) = head;
    compiler_barrier();
    at<u16>(at_.driver_area + 2) = ++next_;
}

void Virtqueue::add_packed(const Segment* segments, u32 count, u16 token) {
    const u16 id = free_head_;
    free_head_ = free_next_[id];
    const u16 first = next_;
    const bool is_indirect = tables_ != 0 && count > 1 && count <= kSegmentsMax;
    const u32 places = is_indirect ? 1 : count;
    u16 first_flags = 0;
    Segment whole{};
    if (is_indirect) {
        whole.address = tables_ + u64{id} * kSegmentsMax * kDescriptorBytes;
        whole.size_bytes = count * kDescriptorBytes;
        fill_table(whole.address, segments, count, true);
        segments = &whole;
    }
    for (u32 n = 0; n < places; ++n) {
        volatile Descriptor& entry = at<Descriptor>(at_.descriptors + u64{next_} * kDescriptorBytes);
        u16 flags = avail_wrap_ ? kAvail : kUsed;
        if (is_indirect) flags |= kIndirectFlag;
        if (segments[n].is_writable) flags |= kWrite;
        if (n + 1 < places) flags |= kNext;
        entry.address = segments[n].address;
        entry.size_bytes = segments[n].size_bytes;
        entry.flags = id;
        if (n == 0) {
            first_flags = flags;
        } else {
            entry.next = flags;
        }
        if (++next_ == size_) {
            next_ = 0;
            avail_wrap_ = !avail_wrap_;
        }
    }
    free_count_ = static_cast<u16>(free_count_ - places);
    counts_[id] = static_cast<u16>(places);
    tokens_[id] = token;
    kicked_ = static_cast<u16>(kicked_ + places);
    compiler_barrier();
    at<Descriptor>(at_.descriptors + u64{first} * kDescriptorBytes).next = first_flags;
}

bool Virtqueue::needs_doorbell() const {
    if (!has_event_idx_) return (at<u16>(at_.device_area) & kNoNotify) == 0;
    return is_event_passed(at<u16>(at_.device_area + 4 + size_ * 8U), next_, kicked_);
}

bool Virtqueue::needs_doorbell_packed() const {
    // Both fields in one load: they belong together.
    const u32 both = at<u32>(at_.device_area);
    const u16 flags = static_cast<u16>(both >> 16) & 3;
    if (flags != kEventDescriptor) return flags == kEventEnable;
    u16 event = static_cast<u16>(both & ~u32{kWrapBit});
    if (((both & kWrapBit) != 0) != avail_wrap_) event = static_cast<u16>(event - size_);
    return is_event_passed(event, next_, static_cast<u16>(next_ - kicked_));
}

bool Virtqueue::kick() {
    if (is_packed_ ? kicked_ == 0 : kicked_ == next_) return false;
    full_barrier();
    const bool is_needed = is_packed_ ? needs_doorbell_packed() : needs_doorbell();
    kicked_ = is_packed_ ? u16{0} : next_;
    if (!is_needed) {
        ++counters.not_rung;
        return false;
    }
    ++counters.rung;
    ring();
    return true;
}

bool Virtqueue::take(Completion& completion) {
    if (!(is_packed_ ? take_packed(completion) : take_split(completion))) return false;
    if (wants_interrupts_) {
        if (has_event_idx_) show_interrupt_wish();
    } else if (has_event_idx_ && !is_packed_) {
        defer_interrupts();
    }
    return true;
}

bool Virtqueue::take_split(Completion& completion) {
    if (at<u16>(at_.device_area + 2) == last_used_) return false;
    compiler_barrier();
    const u64 element = at_.device_area + 4 + (last_used_ & mask_) * 8U;
    const u16 head = static_cast<u16>(at<u32>(element)) & mask_;
    completion = {tokens_[head], at<u32>(element + 4)};
    u16 last = head;
    for (u16 n = 1; n < counts_[head]; ++n) last = free_next_[last];
    free_next_[last] = free_head_;
    free_head_ = head;
    free_count_ = static_cast<u16>(free_count_ + counts_[head]);
    ++last_used_;
    return true;
}

bool Virtqueue::take_packed(Completion& completion) {
    volatile Descriptor& entry = at<Descriptor>(at_.descriptors + u64{last_used_} * kDescriptorBytes);
    const u16 flags = entry.next;
    const bool avail = (flags & kAvail) != 0;
    const bool used = (flags & kUsed) != 0;
    if (avail != used || used != used_wrap_) return false;
    compiler_barrier();
    const u16 id = static_cast<u16>(entry.flags % size_);
    completion = {tokens_[id], entry.size_bytes};
    free_next_[id] = free_head_;
    free_head_ = id;
    free_count_ = static_cast<u16>(free_count_ + counts_[id]);
    last_used_ = static_cast<u16>(last_used_ + counts_[id]);
    if (last_used_ >= size_) {
        last_used_ = static_cast<u16>(last_used_ - size_);
        used_wrap_ = !used_wrap_;
    }
    return true;
}

/// Keeps used_event so far ahead that the device cannot reach it before the next call.
void Virtqueue::defer_interrupts() {
    if (static_cast<u16>(event_ - last_used_) > kTooNear) return;
    event_ = static_cast<u16>(last_used_ + kFarAway);
    at<u16>(at_.driver_area + 4 + size_ * 2U) = event_;
}

void Virtqueue::show_interrupt_wish() const {
    if (is_packed_) {
        const u32 place = last_used_ | (used_wrap_ ? u32{kWrapBit} : 0);
        at<u32>(at_.driver_area) = place | u32{has_event_idx_ ? kEventDescriptor : kEventEnable} << 16;
    } else if (has_event_idx_) {
        at<u16>(at_.driver_area + 4 + size_ * 2U) = last_used_;
    } else {
        at<u16>(at_.driver_area) = 0;
    }
}

void Virtqueue::want_interrupts(bool wanted) {
    wants_interrupts_ = wanted;
    if (wanted) {
        show_interrupt_wish();
    } else if (is_packed_) {
        at<u32>(at_.driver_area) = u32{kEventDisable} << 16;
    } else if (has_event_idx_) {
        event_ = last_used_;
        defer_interrupts();
    } else {
        at<u16>(at_.driver_area) = kNoInterrupt;
    }
    full_barrier();
}

}  // namespace guest::virtio
