// SPDX-License-Identifier: Apache-2.0
// GuestMemory: the only access to guest RAM.
//
// No pointer into guest RAM leaves this class, except a GuestSpan for the kernel to use and a GuestWindow,
// which checks each access. Every range is checked as offset-then-remaining; a range that touches a hole
// fails whole. Guest-caused faults are values. Plain copies promise no atomicity and no order; use the
// load/store functions for shared words.
// Thread: any; the region table is immutable after construction.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "vmm/error/ints.h"
#include "vmm/memory/gpa.h"
#include "vmm/memory/guest_window.h"
#include "vmm/memory/wire.h"

namespace mayfly {

enum class MemStatus : u8 { Ok, OutOfRange };

/// A contiguous piece of guest RAM in host memory.
struct GuestRegion {
    Gpa base;
    u64 size_bytes = 0;
    std::byte* host = nullptr;
};

/// A checked range of guest RAM in host memory, for iovecs and SQEs. Never dereferenced by us.
struct GuestSpan {
    void* host_base;
    u64 size_bytes;
};

class GuestMemory {
  public:
    /// PC RAM is at most two regions: below the hole under 4 GiB, and above it.
    static constexpr std::size_t kRegionsMax = 2;

    explicit GuestMemory(std::span<const GuestRegion> regions);

    /// Copies out of guest RAM, once. Empty when any byte lies outside.
    template <WireType T>
    [[nodiscard]] std::optional<T> read_object(Gpa at) const {
        T value;
        // SAFETY: T is a WireType, so any byte pattern is a value and all bytes are written.
        if (read(at, std::as_writable_bytes(std::span(&value, 1))) != MemStatus::Ok) return std::nullopt;
        return value;
    }

    template <WireType T>
    [[nodiscard]] MemStatus write_object(Gpa at, const T& value) const {
        return write(at, std::as_bytes(std::span(&value, 1)));
    }

    [[nodiscard]] MemStatus read(Gpa at, std::span<std::byte> out) const;
    [[nodiscard]] MemStatus write(Gpa at, std::span<const std::byte> in) const;
    [[nodiscard]] MemStatus fill(Gpa at, u64 size_bytes, std::byte with) const;

    /// Single-copy atomic accesses for words shared with a running guest. Misaligned: fails.
    template <typename T>
    [[nodiscard]] std::optional<T> load_acquire(Gpa at) const {
        const T* word = word_at<T>(at);
        if (word == nullptr) return std::nullopt;
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
    }
    template <typename T>
    [[nodiscard]] MemStatus store_release(Gpa at, T value) const {
        T* word = word_at<T>(at);
        if (word == nullptr) return MemStatus::OutOfRange;
        __atomic_store_n(word, value, __ATOMIC_RELEASE);
        return MemStatus::Ok;
    }

    /// One contiguous host range for the kernel's use. Empty when any byte lies outside, or `size_bytes` is
    /// 0.
    [[nodiscard]] std::optional<GuestSpan> span(Gpa at, u64 size_bytes) const {
        std::byte* host = find(at, size_bytes);
        if (host == nullptr) return std::nullopt;
        return GuestSpan{host, size_bytes};
    }

    /// A range for many small accesses. Empty when any byte lies outside, or `at` is not a multiple of
    /// `alignment_bytes`, a power of two of at most 4096.
    [[nodiscard]] std::optional<GuestWindow> window(Gpa at, u64 size_bytes, u64 alignment_bytes) const;

    /// True when the whole range is RAM. An empty range is contained nowhere.
    [[nodiscard]] bool contains(Gpa at, u64 size_bytes) const { return find(at, size_bytes) != nullptr; }

    [[nodiscard]] std::span<const GuestRegion> regions() const { return {regions_.data(), count_}; }
    [[nodiscard]] u64 size_bytes() const;

  private:
    /// Host address of a range inside one region, or null. Here because rings do it for every descriptor.
    [[nodiscard]] std::byte* find(Gpa at, u64 size_bytes) const {
        if (size_bytes == 0) return nullptr;
        for (const GuestRegion& region : regions()) {
            if (at < region.base) continue;
            const u64 offset = at - region.base;
            if (offset <= region.size_bytes && size_bytes <= region.size_bytes - offset)
                return region.host + offset;
        }
        return nullptr;
    }

    template <typename T>
    [[nodiscard]] T* word_at(Gpa at) const {
        static_assert(std::is_integral_v<T>);
        if (at.value % sizeof(T) != 0) return nullptr;
        // SAFETY: find() checked the range; alignment follows because regions are page-aligned.
        return reinterpret_cast<T*>(find(at, sizeof(T)));
    }

    std::array<GuestRegion, kRegionsMax> regions_{};
    std::size_t count_ = 0;
};

}  // namespace mayfly
