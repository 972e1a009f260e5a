// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/guest_memory.h"

#include <catch2/catch.hpp>

#include "vmm/memory/guest_ram.h"

using namespace mayfly;

namespace {
GuestRam ram_with_hole() {
    // 16 KiB below a hole at 16 KiB, 16 KiB above 4 GiB.
    return GuestRam::create({.size_bytes = 32768, .hole_base = Gpa{16384}}).value();
}
}  // namespace

TEST_CASE("guest memory is found on both sides of the hole and not in it", "[guest_memory]") {
    const GuestRam ram = ram_with_hole();
    const GuestMemory& memory = ram.memory();
    CHECK(memory.contains(Gpa{0}, 16384));
    CHECK(memory.contains(Gpa{0x1'0000'0000}, 16384));
    CHECK_FALSE(memory.contains(Gpa{16384}, 1));
    CHECK_FALSE(memory.contains(Gpa{16383}, 2));
    CHECK_FALSE(memory.contains(Gpa{0xffff'ffff}, 1));
    CHECK_FALSE(memory.contains(Gpa{0x1'0000'4000}, 1));
    CHECK(memory.size_bytes() == 32768);
}

TEST_CASE("guest memory ranges that wrap around are out of range", "[guest_memory]") {
    const GuestRam ram = ram_with_hole();
    const GuestMemory& memory = ram.memory();
    CHECK_FALSE(memory.contains(Gpa{~u64{0}}, 1));
    CHECK_FALSE(memory.contains(Gpa{~u64{0}}, 2));
    CHECK_FALSE(memory.contains(Gpa{0}, ~u64{0}));
    CHECK_FALSE(memory.contains(Gpa{16383}, ~u64{0}));
    CHECK_FALSE(memory.contains(Gpa{0}, 0));
}

TEST_CASE("an object is written, read back, and refused when one byte lies outside", "[guest_memory]") {
    const GuestRam ram = ram_with_hole();
    const GuestMemory& memory = ram.memory();
    REQUIRE(memory.write_object<u64>(Gpa{16376}, 0x0102030405060708) == MemStatus::Ok);
    CHECK(memory.read_object<u64>(Gpa{16376}) == 0x0102030405060708);
    CHECK(memory.read_object<u8>(Gpa{16383}) == 0x01);
    CHECK(memory.write_object<u64>(Gpa{16377}, 0) == MemStatus::OutOfRange);
    CHECK(memory.read_object<u64>(Gpa{16376}) == 0x0102030405060708);
    CHECK_FALSE(memory.read_object<u64>(Gpa{16377}));
}

TEST_CASE("shared words must be aligned", "[guest_memory]") {
    const GuestRam ram = ram_with_hole();
    const GuestMemory& memory = ram.memory();
    REQUIRE(memory.store_release<u16>(Gpa{2}, 0xbeef) == MemStatus::Ok);
    CHECK(memory.load_acquire<u16>(Gpa{2}) == 0xbeef);
    CHECK_FALSE(memory.load_acquire<u16>(Gpa{3}));
    CHECK(memory.store_release<u32>(Gpa{2}, 1) == MemStatus::OutOfRange);
}

TEST_CASE("a window is a checked and aligned range, and shows the memory's content", "[guest_memory]") {
    const GuestRam ram = ram_with_hole();
    const GuestMemory& memory = ram.memory();
    CHECK(memory.window(Gpa{0}, 16384, 4096));
    CHECK(memory.window(Gpa{16380}, 4, 4));
    CHECK_FALSE(memory.window(Gpa{16381}, 4, 1));
    CHECK_FALSE(memory.window(Gpa{16380}, 4, 8));
    CHECK_FALSE(memory.window(Gpa{0}, 0, 1));
    CHECK_FALSE(memory.window(Gpa{~u64{0} - 15}, 16, 16));
    const std::optional<GuestWindow> window = memory.window(Gpa{0x1000}, 16, 16);
    REQUIRE(window);
    CHECK(window->size_bytes() == 16);
    window->store<u32>(0, 0x11223344);
    window->store_release<u16>(4, 0x5566);
    window->store_fenced<u64>(8, 0x0102030405060708);
    CHECK(memory.read_object<u32>(Gpa{0x1000}) == 0x11223344U);
    CHECK(memory.read_object<u16>(Gpa{0x1004}) == 0x5566);
    CHECK(window->load<u16>(2) == 0x1122);
    CHECK(window->load_acquire<u64>(8) == 0x0102030405060708);
    CHECK(window->load_fenced<u32>(12) == 0x01020304);
    CHECK(window->copy<u32>(9) == 0x04050607);
}
