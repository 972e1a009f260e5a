// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/printk_ring.h"

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kFileAt = 0x1000;
constexpr u64 kVirtual = 0xffffffff82c00000;
constexpr u64 kBase = 0x2c00000;
constexpr u64 kDataBytes = 0x30000;
constexpr u64 kMemoryBytes = 0x100000;
constexpr std::string_view kNames{"\0.data\0.shstrtab\0", 17};

// Places in the test's kernel: offsets into its only segment. The ring is in the third chunk of 64 KiB.
constexpr u64 kRing = 0x2ff00;
constexpr u64 kInfos = 0x40000;
constexpr u64 kCountBits = 12;
constexpr u64 kDescriptors = kInfos + (88 << kCountBits);
constexpr u64 kText = 0xb8000;
constexpr u64 kTextBits = 17;

/// As the compiler lays it out, of Linux 6.12.
struct Vmlinux {
    explicit Vmlinux(u64 ring = kRing)
        : ring_at(kFileAt + ring),
          file(elf64(kVirtual, {{kLoad, kFileAt, kVirtual, kBase, kDataBytes, kMemoryBytes, 4096}})) {
        file.resize(kFileAt + kDataBytes);
        put_text(file, file.size(), kNames);
        const u64 headers = align_up(file.size(), 8);
        put_section(file, headers, {});
        put_section(file, headers + 64, {1, 1, 3, kVirtual, kFileAt, kDataBytes});
        put_section(file, headers + 128, {7, 3, 0, 0, kFileAt + kDataBytes, kNames.size()});
        put_section_table(file, headers, 3);
        set(0, kCountBits | u64{0xdead} << 32);
        set(1, kVirtual + kDescriptors);
        set(2, kVirtual + kInfos);
        set(3, 0xffff'efff);
        set(4, 0xffff'efff);
        set(5, 0);
        set(6, kTextBits);
        set(7, kVirtual + kText);
        set(8, u64{0} - (1 << kTextBits));
        set(9, u64{0} - (1 << kTextBits));
    }
    void set(u64 word, u64 value) { put<u64>(file, ring_at + 8 * word, value); }
    [[nodiscard]] std::optional<PrintkRing> find() const {
        const UnpackedKernel vmlinux = read_unpacked(Image::from_bytes("vmlinux", file));
        return find_printk_ring({vmlinux.image, **vmlinux.elf});
    }

    u64 ring_at;
    Bytes file;
};

}  // namespace

TEST_CASE("Linux's log is found by its fresh counters", "[printk_ring]") {
    const std::optional<PrintkRing> ring = Vmlinux().find();
    REQUIRE(ring);
    CHECK(ring->head_id == Gpa{kBase + kRing + 24});
    CHECK(ring->descriptors == Gpa{kBase + kDescriptors});
    CHECK(ring->infos == Gpa{kBase + kInfos});
    CHECK(ring->text == Gpa{kBase + kText});
    CHECK(ring->count_bits == kCountBits);
    CHECK(ring->text_bits == kTextBits);
    CHECK(ring->first_id == 0xffff'f000);
}

TEST_CASE("the log is found anywhere in the data, also across pieces that are read", "[printk_ring]") {
    for (const u64 at : {u64{0}, u64{8}, KiB(64) - 80, KiB(64) - 72, KiB(64) - 8, KiB(64), kDataBytes - 80}) {
        CAPTURE(at);
        CHECK(Vmlinux(at).find().has_value());
    }
    CHECK_FALSE(Vmlinux(kDataBytes - 72).find());
}

TEST_CASE("Linux 6.1 has another counter where 6.12 has a zero", "[printk_ring]") {
    Vmlinux vmlinux;
    vmlinux.set(5, 0xffff'efff);
    CHECK(vmlinux.find());
}

TEST_CASE("a ring that contradicts itself is not a log", "[printk_ring]") {
    struct Row {
        u64 word;
        u64 value;
    };
    for (const Row& row : {Row{0, 4}, Row{0, 11}, Row{0, 21}, Row{1, kVirtual + kDescriptors + 8},
                           Row{2, kVirtual + kInfos - 8}, Row{3, 0xffff'effe}, Row{4, 0xffff'f000},
                           Row{6, 16}, Row{6, 64}, Row{7, 0}, Row{7, ~u64{0}},
                           Row{7, kVirtual + kMemoryBytes - (1 << kTextBits) + 1}, Row{8, 0}, Row{9, 0}}) {
        CAPTURE(row.word, row.value);
        Vmlinux vmlinux;
        vmlinux.set(row.word, row.value);
        CHECK_FALSE(vmlinux.find());
    }
    Vmlinux outside;
    outside.set(1, kVirtual + kMemoryBytes);
    outside.set(2, kVirtual + kMemoryBytes - (88 << kCountBits));
    CHECK_FALSE(outside.find());
}

TEST_CASE("a kernel without sections has no log", "[printk_ring]") {
    Vmlinux vmlinux;
    put<u16>(vmlinux.file, 60, 0);
    CHECK_FALSE(vmlinux.find());
}
