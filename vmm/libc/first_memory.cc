// SPDX-License-Identifier: Apache-2.0
// What C++ allocates first comes from one piece, object beside object: the linker redirects operator new and
// delete here (meson.build).
//
// A boot makes some two hundred objects before the guest runs. An allocator that keeps a page for each size
// touches a page for each, and pages of its own before the first: these page faults are a fifth of a boot's
// time outside KVM. Objects that do not fit any more, and requests to malloc(3), go to the allocator.
//
// The allocator sets itself up at its first call (vmm/sections.ld), which is not safe for two threads at
// once: so starting the first thread calls it before.
// Thread: any.
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include <pthread.h>

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names for them
extern "C" {
void* __real__Znwm(std::size_t size_bytes);
void* __real__Znam(std::size_t size_bytes);
void* __real__ZnwmSt11align_val_t(std::size_t size_bytes, std::align_val_t alignment);
void __real__ZdlPvSt11align_val_t(void* object, std::align_val_t alignment);
void __real__ZdlPvmSt11align_val_t(void* object, std::size_t size_bytes, std::align_val_t alignment);
void __real__ZdlPv(void* object);
void __real__ZdlPvm(void* object, std::size_t size_bytes);
void __real__ZdaPv(void* object);
void __real__ZdaPvm(void* object, std::size_t size_bytes);
int __real_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                          void* argument);
}

namespace {

constexpr std::size_t kAlignment = alignof(std::max_align_t);

constexpr std::size_t rounded(std::size_t size_bytes, std::size_t alignment = kAlignment) {
    return (size_bytes + alignment - 1) & ~(alignment - 1);
}

/// Memory that is given out from the bottom up. Its bookkeeping lies elsewhere: untouched memory costs
/// nothing.
class Piece {
  public:
    template <std::size_t kBytes>
    constexpr explicit Piece(std::byte (&memory)[kBytes]) : memory_(memory), bytes_(kBytes) {}

    /// Null where it does not fit. `alignment` is a power of two from kAlignment to the memory's own.
    void* take(std::size_t size_bytes, std::size_t alignment = kAlignment) {
        std::size_t used = used_.load(std::memory_order_relaxed);
        std::size_t at = 0;
        do {
            at = rounded(used, alignment);
            if (size_bytes > bytes_ - kAlignment || at > bytes_ || rounded(size_bytes) > bytes_ - at)
                return nullptr;
        } while (!used_.compare_exchange_weak(used, at + rounded(size_bytes), std::memory_order_relaxed));
        return memory_ + at;
    }

    [[nodiscard]] bool holds(const void* object) const {
        const auto* at = static_cast<const std::byte*>(object);
        return at >= memory_ && at < memory_ + bytes_;
    }

    /// Only the last piece can grow.
    void give_back(void* object, std::size_t size_bytes) {
        const auto at = static_cast<std::size_t>(static_cast<std::byte*>(object) - memory_);
        std::size_t end = at + rounded(size_bytes);
        used_.compare_exchange_strong(end, at, std::memory_order_relaxed);
    }

  private:
    std::byte* memory_;
    std::size_t bytes_;
    std::atomic<std::size_t> used_ = 0;
};

constexpr std::size_t kLine = 64;
constexpr std::size_t kPage = 4096;

alignas(kLine) constinit std::byte g_object_memory[std::size_t{256} << 10];
alignas(kPage) constinit std::byte g_page_memory[16 * kPage];

constinit Piece g_objects(g_object_memory);
/// Apart: an object between two pages would touch both.
constinit Piece g_pages(g_page_memory);

void* take_aligned(std::size_t size_bytes, std::size_t alignment) {
    if (alignment <= kAlignment) return g_objects.take(size_bytes);
    if (alignment <= kLine) return g_objects.take(size_bytes, alignment);
    return alignment == kPage ? g_pages.take(size_bytes, kPage) : nullptr;
}

bool is_ours(const void* object) { return g_objects.holds(object) || g_pages.holds(object); }

void give_back(void* object, std::size_t size_bytes) {
    if (g_pages.holds(object)) return g_pages.give_back(object, size_bytes);
    g_objects.give_back(object, size_bytes);
}

}  // namespace

extern "C" {

void* __wrap__Znwm(std::size_t size_bytes) {
    void* object = g_objects.take(size_bytes);
    return object != nullptr ? object : __real__Znwm(size_bytes);
}

void* __wrap__Znam(std::size_t size_bytes) {
    void* object = g_objects.take(size_bytes);
    return object != nullptr ? object : __real__Znam(size_bytes);
}

void* __wrap__ZnwmSt11align_val_t(std::size_t size_bytes, std::align_val_t alignment) {
    void* object = take_aligned(size_bytes, static_cast<std::size_t>(alignment));
    return object != nullptr ? object : __real__ZnwmSt11align_val_t(size_bytes, alignment);
}

void __wrap__ZdlPvSt11align_val_t(void* object, std::align_val_t alignment) {
    if (!is_ours(object)) __real__ZdlPvSt11align_val_t(object, alignment);
}

void __wrap__ZdlPvmSt11align_val_t(void* object, std::size_t size_bytes, std::align_val_t alignment) {
    if (is_ours(object)) return give_back(object, size_bytes);
    __real__ZdlPvmSt11align_val_t(object, size_bytes, alignment);
}

void __wrap__ZdlPv(void* object) {
    if (!is_ours(object)) __real__ZdlPv(object);
}

void __wrap__ZdlPvm(void* object, std::size_t size_bytes) {
    if (is_ours(object)) return give_back(object, size_bytes);
    __real__ZdlPvm(object, size_bytes);
}

void __wrap__ZdaPv(void* object) {
    if (!is_ours(object)) __real__ZdaPv(object);
}

void __wrap__ZdaPvm(void* object, std::size_t size_bytes) {
    if (is_ours(object)) return give_back(object, size_bytes);
    __real__ZdaPvm(object, size_bytes);
}

int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                          void* argument) {
    // Written before a second thread exists. Volatile, because a compiler may remove such a pair.
    static bool has_asked = false;
    if (!has_asked) {
        has_asked = true;
        void* volatile something = std::malloc(1);
        std::free(something);
    }
    return __real_pthread_create(thread, attributes, body, argument);
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
