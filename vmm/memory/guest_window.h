// SPDX-License-Identifier: Apache-2.0
// GuestWindow: a range of guest RAM that was checked once and is then accessed by offset, for rings.
//
// Every access is checked against the window's size, which costs less than finding the region of an address
// again and again. An offset outside is our bug and VERIFYed: offsets are computed from indices that were
// masked or compared before. Loads and stores are single-copy atomic ones of naturally aligned words; values
// read are the guest's and may be anything. Thread: any; a value.
#pragma once

#include <atomic>
#include <cstring>
#include <type_traits>

#include "vmm/error/ints.h"
#include "vmm/error/verify.h"
#include "vmm/memory/wire.h"

namespace mayfly {

class GuestWindow {
  public:
    /// Empty: no access is allowed.
    GuestWindow() = default;

    [[nodiscard]] u64 size_bytes() const { return size_bytes_; }

    template <typename T>
    [[nodiscard]] T load(u64 offset_bytes) const {
        return __atomic_load_n(word_at<T>(offset_bytes), __ATOMIC_RELAXED);
    }
    template <typename T>
    [[nodiscard]] T load_acquire(u64 offset_bytes) const {
        return __atomic_load_n(word_at<T>(offset_bytes), __ATOMIC_ACQUIRE);
    }
    /// Ordered after every store_fenced() of this thread, as after a full barrier.
    template <typename T>
    [[nodiscard]] T load_fenced(u64 offset_bytes) const {
        return __atomic_load_n(word_at<T>(offset_bytes), __ATOMIC_SEQ_CST);
    }
    template <typename T>
    void store(u64 offset_bytes, T value) const {
        __atomic_store_n(word_at<T>(offset_bytes), value, __ATOMIC_RELAXED);
    }
    template <typename T>
    void store_release(u64 offset_bytes, T value) const {
        __atomic_store_n(word_at<T>(offset_bytes), value, __ATOMIC_RELEASE);
    }
    /// A release store that is also a full barrier: later loads of this thread come after it. On x86 a locked
    /// exchange, so this holds against a guest's MFENCE or locked instruction as well.
    template <typename T>
    void store_fenced(u64 offset_bytes, T value) const {
        (void)__atomic_exchange_n(word_at<T>(offset_bytes), value, __ATOMIC_SEQ_CST);
    }

    /// Copies out once, at any alignment and without atomicity: for data that another word released.
    template <WireType T>
    [[nodiscard]] T copy(u64 offset_bytes) const {
        check(offset_bytes, sizeof(T));
        T value;
        // SAFETY: T is a WireType, so any byte pattern is a value; the range was checked.
        std::memcpy(&value, host_ + offset_bytes, sizeof(T));
        // The copy is what gets checked and used: keep the compiler from fetching the guest's bytes again.
        std::atomic_signal_fence(std::memory_order_seq_cst);
        return value;
    }

  private:
    friend class GuestMemory;
    GuestWindow(std::byte* host, u64 size_bytes) : host_(host), size_bytes_(size_bytes) {}

    void check(u64 offset_bytes, u64 access_bytes) const {
        // no guest: rings compute offsets from indices that they masked or compared with the size that the
        // window was made for.
        VERIFY(offset_bytes < size_bytes_ && size_bytes_ - offset_bytes >= access_bytes);
    }

    template <typename T>
    [[nodiscard]] T* word_at(u64 offset_bytes) const {
        static_assert(std::is_integral_v<T> && std::is_unsigned_v<T>);
        check(offset_bytes, sizeof(T));
        // SAFETY: inside the range that GuestMemory checked; it checked the alignment of the base, and the
        // callers' offsets keep it.
        return reinterpret_cast<T*>(host_ + offset_bytes);
    }

    std::byte* host_ = nullptr;
    u64 size_bytes_ = 0;
};

}  // namespace mayfly
