// SPDX-License-Identifier: Apache-2.0
// The far ends of device models' wires, which record their signals; and a guest that tries every access.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "devices/io/boot_mark.h"
#include "devices/io/byte_sink.h"
#include "devices/io/guest_verdict.h"
#include "devices/io/io_device.h"
#include "devices/io/wall_clock.h"
#include "vmm/error/ints.h"

namespace mayfly {

class FakeSink final : public ByteSink {
  public:
    void put(u8 byte) override { text.push_back(static_cast<char>(byte)); }

    std::string text;
};

class FakeMarks final : public BootMarkSink {
  public:
    void on_mark(u32 value) override { values.push_back(value); }

    std::vector<u32> values;
};

class FakeVerdicts final : public VerdictSink {
  public:
    void decide(Verdict verdict, u64 value) override {
        verdicts.push_back(verdict);
        values.push_back(value);
    }

    std::vector<Verdict> verdicts;
    std::vector<u64> values;
};

class FakeClock final : public WallClock {
  public:
    [[nodiscard]] i64 seconds_since_epoch() const override { return seconds; }

    i64 seconds = 0;
};

[[nodiscard]] inline u8 read8(IoDevice& device, u64 offset) {
    return static_cast<u8>(device.io_read({offset, 1}));
}
inline void write8(IoDevice& device, u64 offset, u8 value) { device.io_write({offset, 1}, value); }

/// Reads and writes every offset of a range of `size_bytes` at every size that fits, with random values, many
/// times in random order. Returns how many reads answered with more bits than were asked for.
[[nodiscard]] inline int hammer(IoDevice& device, u64 size_bytes, u64 first_offset = 0) {
    std::mt19937_64 random(20240229);
    int too_wide = 0;
    const auto access = [&](u64 offset, u8 size) {
        device.io_write({offset, size}, random() & all_ones(size));
        if ((device.io_read({offset, size}) & ~all_ones(size)) != 0) ++too_wide;
    };
    for (u64 offset = 0; offset < size_bytes; ++offset) {
        for (const u8 size : {u8{1}, u8{2}, u8{4}, u8{8}}) {
            if (offset + size <= size_bytes) access(first_offset + offset, size);
        }
    }
    for (int i = 0; i < 20000; ++i) {
        const u8 size = static_cast<u8>(1U << (random() % 4));
        const u64 offset = random() % size_bytes;
        if (offset + size <= size_bytes) access(first_offset + offset, size);
    }
    return too_wide;
}

}  // namespace mayfly
