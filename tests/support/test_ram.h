// SPDX-License-Identifier: Apache-2.0
// TestRam: guest RAM for tests without KVM, seen by the device as GuestMemory and by the test as bytes.
//
// TestRam ram(64 * 1024);                 // [0, 64 KiB); a second size adds RAM at 4 GiB
// const Gpa at = ram.place(bytes);        // allocates, from 4 KiB up, and copies
// ram.bytes(at, 12);                      // what is there now
#pragma once

#include <array>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "vmm/memory/guest_memory.h"

namespace mayfly {

class TestRam {
  public:
    static constexpr u64 kHighBase = u64{4} << 30;

    explicit TestRam(u64 low_bytes, u64 high_bytes = 0)
        : low_(allocate_pages(low_bytes)),
          high_(high_bytes == 0 ? Pages{} : allocate_pages(high_bytes)),
          regions_{GuestRegion{Gpa{0}, low_bytes, low_.get()},
                   GuestRegion{Gpa{kHighBase}, high_bytes, high_.get()}},
          memory_(std::span(regions_).first(high_bytes == 0 ? 1 : 2)) {}
    TestRam(const TestRam&) = delete;
    TestRam& operator=(const TestRam&) = delete;

    [[nodiscard]] const GuestMemory& memory() const { return memory_; }
    [[nodiscard]] u64 low_bytes() const { return regions_[0].size_bytes; }

    /// The guest's own pointer.
    template <typename T = std::byte>
    [[nodiscard]] T* at(Gpa gpa) const {
        const GuestRegion& region = gpa.value >= kHighBase ? regions_[1] : regions_[0];
        if (gpa.value - region.base.value >= region.size_bytes) throw std::out_of_range("TestRam::at");
        return reinterpret_cast<T*>(region.host + (gpa.value - region.base.value));
    }

    /// Fresh zeroed room in low RAM. The first 4 KiB are never given out.
    [[nodiscard]] Gpa allocate(u64 size_bytes, u64 alignment = 16) {
        const u64 start = align_up(next_, alignment);
        if (start + size_bytes > low_bytes()) throw std::bad_alloc();
        next_ = start + size_bytes;
        return Gpa{start};
    }
    [[nodiscard]] Gpa place(std::span<const std::byte> bytes, u64 alignment = 16) {
        const Gpa start = allocate(bytes.size(), alignment);
        std::memcpy(at(start), bytes.data(), bytes.size());
        return start;
    }
    [[nodiscard]] Gpa place(std::string_view text) { return place(std::as_bytes(std::span(text))); }

    [[nodiscard]] std::vector<std::byte> bytes(Gpa gpa, u64 size_bytes) const {
        std::vector<std::byte> copy(size_bytes);
        if (size_bytes != 0) std::memcpy(copy.data(), at(gpa), size_bytes);
        return copy;
    }
    [[nodiscard]] std::string_view text(Gpa gpa, u64 size_bytes) const {
        return {at<const char>(gpa), size_bytes};
    }
    void fill(Gpa gpa, u64 size_bytes, u8 with) const { std::memset(at(gpa), with, size_bytes); }

  private:
    struct FreePages {
        void operator()(std::byte* pages) const { ::operator delete[](pages, std::align_val_t{4096}); }
    };
    using Pages = std::unique_ptr<std::byte[], FreePages>;

    static Pages allocate_pages(u64 size_bytes) {
        auto* pages = static_cast<std::byte*>(::operator new[](size_bytes, std::align_val_t{4096}));
        std::memset(pages, 0, size_bytes);
        return Pages(pages);
    }

    Pages low_;
    Pages high_;
    std::array<GuestRegion, 2> regions_;
    GuestMemory memory_;
    u64 next_ = 4096;
};

}  // namespace mayfly
