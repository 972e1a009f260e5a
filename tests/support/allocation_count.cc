// SPDX-License-Identifier: Apache-2.0
#include "tests/support/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<mayfly::u64> allocations = 0;

void* allocate(std::size_t size_bytes, std::size_t alignment) {
    allocations.fetch_add(1, std::memory_order_relaxed);
    void* block = std::aligned_alloc(alignment, (size_bytes + alignment) / alignment * alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
}

}  // namespace

mayfly::u64 mayfly::allocations_so_far() { return allocations.load(std::memory_order_relaxed); }

// The array forms and those with nothrow call these.
void* operator new(std::size_t size_bytes) { return allocate(size_bytes, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t size_bytes, std::align_val_t alignment) {
    return allocate(size_bytes, static_cast<std::size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t /*size_bytes*/) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t /*alignment*/) noexcept { std::free(block); }
void operator delete(void* block, std::size_t /*size_bytes*/, std::align_val_t /*alignment*/) noexcept {
    std::free(block);
}
