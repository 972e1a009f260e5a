// SPDX-License-Identifier: Apache-2.0
// DriverQueue: the driver's side of a virtqueue, split or packed, for tests. Restates the specification's
// layouts and constants itself. Thread: one; the device may run on another.
//
// TestRam ram(1 << 20);
// DriverQueue driver(ram, {.size = 8});                 // or .is_packed, .has_event_idx, .has_indirect =
// true VirtQueue queue(ram.memory()); REQUIRE(queue.start(driver.setup())); const u16 id =
// driver.add(ChainBuilder().readable(header, 16).writable(data, 512).writable(status, 1));
// ... the device pops, pushes and publishes ...
// REQUIRE(driver.take_used() == DriverQueue::Used{id, 513});
//
// add() makes a chain visible at once; add(chain.indirect(ram)) puts its descriptors into a table;
// add_all({...}) makes several visible by one update. must_ring() says whether the device wants a doorbell
// for the chains added since the last call. want_interrupt() / refuse_interrupts() steer publish(). For
// hostile drivers: raw words by ram.at<u16>(driver.avail_idx_at()) and so on, write_descriptor().
#pragma once

#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "devices/virtio/queue/queue.h"
#include "tests/support/test_ram.h"

namespace mayfly {

class ChainBuilder {
  public:
    struct Part {
        u64 addr;
        u32 len;
        bool is_writable;
    };

    ChainBuilder& readable(Gpa at, u32 size_bytes) { return add({at.value, size_bytes, false}); }
    ChainBuilder& writable(Gpa at, u32 size_bytes) { return add({at.value, size_bytes, true}); }
    ChainBuilder& add(Part part) {
        parts_.push_back(part);
        return *this;
    }
    /// Descriptors go into a table that is allocated in `ram`.
    ChainBuilder& indirect(TestRam& ram) {
        table_ = ram.allocate(16 * parts_.size());
        return *this;
    }

    [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
    [[nodiscard]] std::optional<Gpa> table() const { return table_; }

  private:
    std::vector<Part> parts_;
    std::optional<Gpa> table_;
};

class DriverQueue {
  public:
    static constexpr u16 kNext = 1;
    static constexpr u16 kWrite = 2;
    static constexpr u16 kIndirect = 4;
    static constexpr u16 kAvail = 0x80;
    static constexpr u16 kUsed = 0x8000;

    struct Options {
        u16 size = 8;
        bool is_packed = false;
        bool has_event_idx = false;
        bool has_indirect = false;
    };
    struct Used {
        u16 id;
        u32 written_bytes;
        bool operator==(const Used&) const = default;
    };

    DriverQueue(TestRam& ram, Options options)
        : ram_(ram),
          options_(options),
          descriptors_(ram.allocate(u64{16} * options.size, 16)),
          driver_area_(ram.allocate(6 + u64{2} * options.size, 16)),
          device_area_(ram.allocate(6 + u64{8} * options.size, 4096)),
          counts_(options.size) {
        for (u16 i = options.size; i-- > 0;) free_.push_back(i);
    }

    [[nodiscard]] QueueSetup setup() const {
        return {.size = options_.size,
                .descriptors = descriptors_,
                .driver_area = driver_area_,
                .device_area = device_area_,
                .is_packed = options_.is_packed,
                .has_event_idx = options_.has_event_idx,
                .has_indirect = options_.has_indirect};
    }
    /// Forgets outstanding chains and clears the rings, as a driver does that resets its device.
    void restart() {
        const u64 size = options_.size;
        ram_.fill(descriptors_, 16 * size, 0);
        ram_.fill(driver_area_, 6 + 2 * size, 0);
        ram_.fill(device_area_, 6 + 8 * size, 0);
        free_.clear();
        for (u16 i = options_.size; i-- > 0;) free_.push_back(i);
        busy_ = next_avail_ = next_used_ = rung_ = avail_index_ = used_index_ = added_ = 0;
        avail_wrap_ = used_wrap_ = true;
        hidden_.reset();
    }
    /// Descriptors that are not with the device.
    [[nodiscard]] u16 room() const { return static_cast<u16>(options_.size - busy_); }

    /// \returns the split ring's head or the packed ring's buffer id. Throws when the ring is full.
    u16 add(const ChainBuilder& chain) { return add_all({chain}).front(); }
    /// The same for several, which the device sees together.
    std::vector<u16> add_all(std::initializer_list<ChainBuilder> chains) {
        std::vector<u16> ids;
        for (const ChainBuilder& chain : chains) ids.push_back(write(chain));
        show();
        return ids;
    }
    /// One buffer of one part, without allocating. show() makes it visible.
    u16 write_one(Gpa at, u32 size_bytes, bool is_writable) {
        const ChainBuilder::Part part{at.value, size_bytes, is_writable};
        return options_.is_packed ? write_packed(std::span(&part, 1), std::nullopt)
                                  : write_split(std::span(&part, 1), std::nullopt);
    }
    u16 write(const ChainBuilder& chain) {
        if (chain.table()) write_table(chain);
        return options_.is_packed ? write_packed(chain.parts(), table_part(chain))
                                  : write_split(chain.parts(), table_part(chain));
    }
    void show() {
        if (options_.is_packed) {
            if (!hidden_) return;
            // The first descriptor's flags last: until then the device reads none behind it.
            __atomic_store_n(u16_at(hidden_->at), hidden_->flags, __ATOMIC_SEQ_CST);
            hidden_.reset();
            return;
        }
        __atomic_store_n(u16_at(avail_idx_at()), next_avail_, __ATOMIC_SEQ_CST);
    }

    /// The chains that the device gave back, in its order.
    std::optional<Used> take_used() { return options_.is_packed ? take_packed() : take_split(); }

    /// Does the device want a doorbell for what became visible since the last call?
    bool must_ring() {
        if (options_.is_packed) return must_ring_packed();
        const u16 now = next_avail_;
        const u16 before = std::exchange(rung_, now);
        if (now == before) return false;
        if (!options_.has_event_idx)
            return (__atomic_load_n(u16_at(device_area_), __ATOMIC_SEQ_CST) & 1) == 0;
        const u16 event = __atomic_load_n(u16_at(avail_event_at()), __ATOMIC_SEQ_CST);
        return static_cast<u16>(now - event - 1) < static_cast<u16>(now - before);
    }

    /// Asks for an interrupt at the `more`-th buffer (packed: descriptor) from the one taken last; with flags
    /// only, at the next. \returns true when a used buffer is waiting already.
    bool want_interrupt(u16 more = 1) {
        if (options_.is_packed) {
            u16 event = used_index_;
            bool wrap = used_wrap_;
            advance(event, wrap, static_cast<u16>(more - 1));
            const u32 word = options_.has_event_idx ? event | (wrap ? 0x8000U : 0) | (2U << 16) : 0;
            __atomic_store_n(ram_.at<u32>(driver_area_), word, __ATOMIC_SEQ_CST);
            return is_used_here();
        }
        if (options_.has_event_idx)
            __atomic_store_n(u16_at(used_event_at()), static_cast<u16>(next_used_ + more - 1),
                             __ATOMIC_SEQ_CST);
        else
            __atomic_store_n(u16_at(driver_area_), u16{0}, __ATOMIC_SEQ_CST);
        return __atomic_load_n(u16_at(used_idx_at()), __ATOMIC_SEQ_CST) != next_used_;
    }
    /// With EVENT_IDX on a split ring: not for the next 32768 buffers.
    void refuse_interrupts() {
        if (options_.is_packed)
            __atomic_store_n(ram_.at<u32>(driver_area_), 1U << 16, __ATOMIC_SEQ_CST);
        else if (options_.has_event_idx)
            __atomic_store_n(u16_at(used_event_at()), static_cast<u16>(next_used_ + 0x8000),
                             __ATOMIC_SEQ_CST);
        else
            __atomic_store_n(u16_at(driver_area_), u16{1}, __ATOMIC_SEQ_CST);
    }

    // --- raw words ---

    [[nodiscard]] Gpa descriptor_at(u16 index) const { return descriptors_ + u64{16} * index; }
    [[nodiscard]] Gpa avail_flags_at() const { return driver_area_; }
    [[nodiscard]] Gpa avail_idx_at() const { return driver_area_ + 2; }
    [[nodiscard]] Gpa avail_entry_at(u16 slot) const { return driver_area_ + 4 + u64{2} * slot; }
    [[nodiscard]] Gpa used_event_at() const { return driver_area_ + 4 + u64{2} * options_.size; }
    [[nodiscard]] Gpa used_flags_at() const { return device_area_; }
    [[nodiscard]] Gpa used_idx_at() const { return device_area_ + 2; }
    [[nodiscard]] Gpa used_entry_at(u16 slot) const { return device_area_ + 4 + u64{8} * slot; }
    [[nodiscard]] Gpa avail_event_at() const { return device_area_ + 4 + u64{8} * options_.size; }
    [[nodiscard]] Gpa driver_events_at() const { return driver_area_; }
    [[nodiscard]] Gpa device_events_at() const { return device_area_; }

    /// The last two are {flags, next} of a split descriptor or {id, flags} of a packed one.
    void write_descriptor(u16 index, u64 addr, u32 len, u16 third, u16 fourth) {
        write_raw(descriptor_at(index), addr, len, third, fourth);
    }
    void write_raw(Gpa at, u64 addr, u32 len, u16 third, u16 fourth) {
        std::byte* to = ram_.at(at);
        std::memcpy(to, &addr, 8);
        std::memcpy(to + 8, &len, 4);
        std::memcpy(to + 12, &third, 2);
        std::memcpy(to + 14, &fourth, 2);
    }

  private:
    struct Hidden {
        Gpa at;
        u16 flags;
    };

    [[nodiscard]] u16* u16_at(Gpa at) const { return ram_.at<u16>(at); }

    static std::optional<ChainBuilder::Part> table_part(const ChainBuilder& chain) {
        if (!chain.table()) return std::nullopt;
        return ChainBuilder::Part{chain.table()->value, static_cast<u32>(16 * chain.parts().size()), false};
    }

    void write_table(const ChainBuilder& chain) {
        const auto count = static_cast<u16>(chain.parts().size());
        for (u16 i = 0; i < count; ++i) {
            const ChainBuilder::Part& part = chain.parts()[i];
            const u16 write = part.is_writable ? kWrite : 0;
            const Gpa at = *chain.table() + u64{16} * i;
            if (options_.is_packed)
                write_raw(at, part.addr, part.len, 0, write);
            else if (i + 1 < count)
                write_raw(at, part.addr, part.len, write | kNext, static_cast<u16>(i + 1));
            else
                write_raw(at, part.addr, part.len, write, 0);
        }
    }

    u16 write_split(std::span<const ChainBuilder::Part> parts, std::optional<ChainBuilder::Part> table) {
        const std::span<const ChainBuilder::Part> all = table ? std::span(&*table, 1) : parts;
        if (all.empty() || all.size() > room()) throw std::length_error("DriverQueue::add");
        const u16 head = free_.back();
        for (std::size_t i = 0; i < all.size(); ++i) {
            const u16 index = free_.back();
            free_.pop_back();
            const bool is_last = i + 1 == all.size();
            const u16 flags =
                (is_last ? 0 : kNext) | (all[i].is_writable ? kWrite : 0) | (table ? kIndirect : 0);
            write_descriptor(index, all[i].addr, all[i].len, flags, is_last ? u16{0} : free_.back());
        }
        counts_[head] = static_cast<u16>(all.size());
        busy_ = static_cast<u16>(busy_ + all.size());
        *u16_at(avail_entry_at(next_avail_++ % options_.size)) = head;
        return head;
    }

    std::optional<Used> take_split() {
        const u16 idx = __atomic_load_n(u16_at(used_idx_at()), __ATOMIC_ACQUIRE);
        if (idx == next_used_) return std::nullopt;
        const Gpa at = used_entry_at(next_used_++ % options_.size);
        const Used used{static_cast<u16>(*ram_.at<u32>(at)), *ram_.at<u32>(at + 4)};
        busy_ = static_cast<u16>(busy_ - counts_.at(used.id));
        // The chain's descriptors, by its own links.
        u16 index = used.id;
        for (u16 left = counts_[used.id]; left > 0; --left) {
            free_.push_back(index);
            index = *u16_at(descriptor_at(index) + 14);
        }
        counts_[used.id] = 0;
        return used;
    }

    u16 write_packed(std::span<const ChainBuilder::Part> parts, std::optional<ChainBuilder::Part> table) {
        const std::span<const ChainBuilder::Part> all = table ? std::span(&*table, 1) : parts;
        if (all.empty() || all.size() > room()) throw std::length_error("DriverQueue::add");
        const u16 id = free_.back();
        free_.pop_back();
        for (std::size_t i = 0; i < all.size(); ++i) {
            const u16 flags = (i + 1 == all.size() ? 0 : kNext) | (all[i].is_writable ? kWrite : 0) |
                              (table ? kIndirect : 0) | (avail_wrap_ ? kAvail : kUsed);
            const Gpa at = descriptor_at(avail_index_);
            const bool is_first = !hidden_;
            if (is_first) hidden_ = Hidden{at + 14, flags};
            // Atomic, because a device may read a descriptor before it is available.
            __atomic_store_n(ram_.at<u64>(at), u64{all[i].addr}, __ATOMIC_RELAXED);
            __atomic_store_n(ram_.at<u32>(at + 8), u32{all[i].len}, __ATOMIC_RELAXED);
            __atomic_store_n(u16_at(at + 12), id, __ATOMIC_RELAXED);
            if (!is_first) __atomic_store_n(u16_at(at + 14), flags, __ATOMIC_RELAXED);
            advance(avail_index_, avail_wrap_, 1);
        }
        counts_[id] = static_cast<u16>(all.size());
        busy_ = static_cast<u16>(busy_ + all.size());
        added_ = static_cast<u16>(added_ + all.size());
        return id;
    }

    /// Length, id and flags of a descriptor, which the device writes together.
    [[nodiscard]] u64 tail_at(Gpa at) const {
        return __atomic_load_n(ram_.at<u64>(at + 8), __ATOMIC_SEQ_CST);
    }
    [[nodiscard]] bool is_used_here() const {
        const u16 flags = static_cast<u16>(tail_at(descriptor_at(used_index_)) >> 48);
        return ((flags & kAvail) != 0) == used_wrap_ && ((flags & kUsed) != 0) == used_wrap_;
    }

    std::optional<Used> take_packed() {
        if (!is_used_here()) return std::nullopt;
        const Gpa at = descriptor_at(used_index_);
        const u64 tail = tail_at(at);
        const bool has_length = ((tail >> 48) & kWrite) != 0;
        const Used used{static_cast<u16>(tail >> 32), has_length ? static_cast<u32>(tail) : 0};
        const u16 count = counts_.at(used.id);
        if (count == 0) throw std::logic_error("DriverQueue: a buffer came back that was not out");
        counts_[used.id] = 0;
        busy_ = static_cast<u16>(busy_ - count);
        free_.push_back(used.id);
        advance(used_index_, used_wrap_, count);
        return used;
    }

    bool must_ring_packed() {
        const u16 count = std::exchange(added_, u16{0});
        if (count == 0) return false;
        const u32 word = __atomic_load_n(ram_.at<u32>(device_area_), __ATOMIC_SEQ_CST);
        const u32 mode = word >> 16;
        if (mode == 1) return false;
        if (mode == 0) return true;
        const bool wrap = (word & 0x8000) != 0;
        const auto event = static_cast<u16>((word & 0x7fff) - (wrap != avail_wrap_ ? options_.size : 0));
        return static_cast<u16>(avail_index_ - event - 1) < count;
    }

    void advance(u16& index, bool& wrap, u16 count) const {
        index = static_cast<u16>(index + count);
        if (index < options_.size) return;
        index = static_cast<u16>(index - options_.size);
        wrap = !wrap;
    }

    TestRam& ram_;
    Options options_;
    Gpa descriptors_;
    Gpa driver_area_;
    Gpa device_area_;
    std::vector<u16> free_;    ///< split: descriptors; packed: buffer ids
    std::vector<u16> counts_;  ///< descriptors of each outstanding chain
    u16 busy_ = 0;
    u16 next_avail_ = 0;
    u16 next_used_ = 0;
    u16 rung_ = 0;
    u16 avail_index_ = 0;
    u16 used_index_ = 0;
    u16 added_ = 0;
    bool avail_wrap_ = true;
    bool used_wrap_ = true;
    std::optional<Hidden> hidden_;
};

}  // namespace mayfly
