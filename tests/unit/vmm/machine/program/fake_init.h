// SPDX-License-Identifier: Apache-2.0
// The test as init: guest memory with its end of the channel.
#pragma once

#include <string>

#include "firmware/init/channel.h"
#include "tests/support/test_ram.h"

namespace mayfly::test {

using channel::Header;
using channel::RingName;

inline constexpr u32 kFrame = 4096;

/// Guest memory with a header and frames that are not in order.
class Init {
  public:
    Init() : ram_(u64{channel::kFrames + 16} * kFrame), header_at_(ram_.allocate(kFrame, kFrame)) {
        header().magic = channel::kMagic;
        const Gpa rings = ram_.allocate(u64{channel::kFrames} * kFrame, kFrame);
        for (u32 i = 0; i < channel::kFrames; ++i)
            header().frames[i] = static_cast<u32>(rings.value / kFrame) + channel::kFrames - 1 - i;
    }

    [[nodiscard]] Header& header() const { return *ram_.at<Header>(header_at_); }
    [[nodiscard]] u32 frame() const { return static_cast<u32>(header_at_.value / kFrame); }
    [[nodiscard]] const GuestMemory& memory() const { return ram_.memory(); }
    [[nodiscard]] channel::Ring& ring(RingName name) const { return header().rings[static_cast<u32>(name)]; }
    /// The byte of a ring at that count.
    [[nodiscard]] u8& byte(RingName name, u32 count) const {
        const u32 sizes[] = {64, 64, 16, 64};
        u32 first = 0;
        for (u32 before = 0; before < static_cast<u32>(name); ++before) first += sizes[before];
        const u32 at = count % (sizes[static_cast<u32>(name)] * kFrame);
        const Gpa page{u64{header().frames[first + at / kFrame]} * kFrame};
        return *ram_.at<u8>(Gpa{page.value + at % kFrame});
    }
    void put(RingName name, const std::string& text) const {
        u32 count = ring(name).producer.count;
        for (const char c : text) byte(name, count++) = static_cast<u8>(c);
        __atomic_store_n(&ring(name).producer.count, count, __ATOMIC_RELEASE);
    }
    [[nodiscard]] std::string take_input() const {
        std::string text;
        u32 count = ring(RingName::Input).consumer.count;
        while (count != __atomic_load_n(&ring(RingName::Input).producer.count, __ATOMIC_ACQUIRE))
            text += static_cast<char>(byte(RingName::Input, count++));
        __atomic_store_n(&ring(RingName::Input).consumer.count, count, __ATOMIC_RELEASE);
        return text;
    }

  private:
    TestRam ram_;
    Gpa header_at_;
};

}  // namespace mayfly::test
