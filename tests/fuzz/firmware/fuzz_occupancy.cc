// SPDX-License-Identifier: Apache-2.0
// The ranges taken while a guest is loaded: any claims of kernels, and places for our structures. No two
// places may overlap, and none may be outside RAM or on the tables that kernels search at fixed places. An
// input is a byte for the guest's memory, then operations of a byte, a place and a size.
#include "firmware/boot/occupancy.h"
#include "tests/fuzz/firmware/fuzz_boot.h"

using namespace mayfly;

namespace {

constexpr u64 kPage = 4096;
constexpr u64 kOursMax = 0x11000;  // more than the largest size that is placed

struct Range {
    u64 base;
    u64 bytes;
};

/// An input's four bytes as an address: small, near 1 MiB, near an end of 32 or 64 bits.
u64 wide(u32 word) {
    const u64 small = word >> 4;
    switch (word & 15) {
        case 0: return ~u64{0} - small;
        case 1: return GiB(4) - 1 - (small & 0xffff);
        case 2: return GiB(4) + small;
        case 3: return MiB(1) - 0x8000 + (small & 0xffff);
        default: return small & 0x7fffff;
    }
}

class Session {
  public:
    explicit Session(const GuestMemory& memory) : memory_(memory), occupancy_(memory) {}

    void act(u8 operation, u64 base, u64 bytes) {
        switch (operation & 3) {
            case 0: {
                const Result<void> result = occupancy_.claim(Gpa{base}, bytes, "a segment");
                if (result && bytes > 0) take(base, bytes);
                fuzz::expect(result || !result.error().message().empty());
                break;
            }
            case 1: {
                const u64 size = bytes % kOursMax + 1;
                const Gpa wish{kPage * (1 + base % 0x7f)};
                const Result<Gpa> at = occupancy_.place(wish, size, "ours");
                if (at) take(at->value, size);
                break;
            }
            case 2:
                if (const auto at = occupancy_.find_below(Gpa{base}, bytes); at && bytes > 0) {
                    fuzz::expect(at->value % kPage == 0 && at->value >= MiB(1) && bytes <= base - at->value);
                    fuzz::expect(is_free(at->value, bytes));
                }
                break;
            case 3: {
                const u64 alignment = u64{1} << (operation >> 2 & 31);
                const Gpa start{base};
                const Gpa end = layout::kHole;
                const auto at = occupancy_.find_above(start, end, bytes, alignment);
                if (at && bytes > 0) {
                    fuzz::expect(*at >= start && at->value % alignment == 0 && bytes <= end - *at);
                    fuzz::expect(is_free(at->value, bytes));
                }
                break;
            }
        }
    }

  private:
    [[nodiscard]] bool is_free(u64 base, u64 bytes) const {
        if (!memory_.contains(Gpa{base}, bytes)) return false;
        for (const Range& other : taken_)
            if (base < other.base + other.bytes && other.base < base + bytes) return false;
        return true;
    }

    void take(u64 base, u64 bytes) {
        fuzz::expect(is_free(base, bytes));
        // The extended BIOS data area; the tables.
        fuzz::expect(base + bytes <= 0x9fc00 || base >= 0xa0000);
        fuzz::expect(base + bytes <= 0xe0000 || base >= 0x100000);
        taken_.push_back({base, bytes});
    }

    const GuestMemory& memory_;
    Occupancy occupancy_;
    std::vector<Range> taken_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
    static const GuestRam rams[] = {
        GuestRam::create({.size_bytes = MiB(2), .hole_base = layout::kHole}).value(),
        GuestRam::create({.size_bytes = MiB(4), .hole_base = layout::kHole}).value(),
        GuestRam::create({.size_bytes = GiB(4), .hole_base = layout::kHole}).value(),
    };
    if (size < 1) return 0;
    Session session(rams[data[0] % std::size(rams)].memory());
    constexpr std::size_t kOperationBytes = 9;
    for (std::size_t at = 1; size - at >= kOperationBytes; at += kOperationBytes) {
        u32 words[2];
        std::memcpy(words, data + at + 1, sizeof words);
        session.act(data[at], wide(words[0]), wide(words[1]));
    }
    return 0;
}
