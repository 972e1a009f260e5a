// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;
using Catch::Matchers::Contains;

namespace {

/// The message of a boot in 2 MiB, of an ELF64 with these segments and a page of file behind the headers.
std::string error_of(const std::vector<Segment>& segments, u64 entry = 0x100000) {
    Bytes file = elf64(entry, segments);
    file.resize(0x3000);
    return Guest().error_of(file);
}

template <typename T>
std::string error_with(std::size_t offset, T value) {
    Bytes file = kernel64();
    put<T>(file, offset, value);
    return Guest().error_of(file);
}

}  // namespace

TEST_CASE("segments are loaded at their physical address and bss is zero", "[elf]") {
    Bytes file =
        elf64(0xffffffff80000004, {{kLoad, 0x1004, 0xffffffff80000004, 0x100004, 5, 0x2000, 0x1000}});
    file.resize(0x1004);
    put_text(file, 0x1004, "hello, not this");
    Guest guest;
    const EntryState entry = guest.boot(file).value();
    CHECK(guest.text_at(0x100004) == "hello");
    CHECK(guest.at(0x100009, 0x2000 - 5) == Bytes(0x2000 - 5));
    // A virtual entry point is translated as its segment is.
    CHECK(entry.rip == 0x100004);
}

TEST_CASE("an ELF of another kind is refused with its kind", "[elf]") {
    CHECK(error_with<u16>(18, 183) ==
          "vmx: this is an ELF for machine 183, not for x86 (3 in 32 bits, 62 in 64 bits)");
    CHECK(error_with<u16>(18, 3) ==
          "vmx: this is an ELF for machine 3, not for x86 (3 in 32 bits, 62 in 64 bits)");
    CHECK(error_with<u8>(5, 2) == "vmx: ELF data encoding 2 is not little endian (1)");
    CHECK(error_with<u8>(4, 3) == "vmx: ELF class 3 is neither 32 (1) nor 64 bits (2)");
    CHECK(error_with<u16>(16, 1) == "vmx: ELF type 1 is not an executable (2 or 3)");
}

TEST_CASE("wrong program header tables are refused", "[elf]") {
    CHECK(error_with<u16>(56, 0) == "vmx: this ELF has no program headers, so nothing to load");
    CHECK(error_with<u16>(56, 0xffff) == "vmx: this ELF has 65535 program headers, more than 128");
    CHECK(error_with<u16>(54, 32) == "vmx: a program header has 32 bytes, not 56");
    CHECK(error_with<u64>(32, 0x1000) ==
          "vmx: truncated: 1 program headers at byte 0x1000, the file has 0x1011 bytes");
    CHECK(error_with<u64>(32, ~u64{0}) ==
          "vmx: truncated: 1 program headers at byte 0xffffffffffffffff, the file has 0x1011 bytes");
    CHECK(error_with<u32>(64, 7) == "vmx: this ELF has no loadable segment");
}

TEST_CASE("an ELF that ends inside its header is refused", "[elf]") {
    Bytes file = kernel64();
    for (const std::size_t size : {4u, 15u, 16u, 63u, 64u, 119u}) {
        const Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(size));
        CHECK_THAT(Guest().error_of(cut), Contains("vmx: truncated: "));
    }
}

TEST_CASE("segments that contradict themselves or the file are refused", "[elf]") {
    CHECK(error_of({{kLoad, 0x1000, 0, 0x100000, 0x20, 0x10, 0}}) ==
          "vmx: segment 0 has 0x20 bytes in the file, but only 0x10 in memory");
    CHECK(error_of({{kLoad, 0x1000, 0, 0x100000, 0x2001, 0x3000, 0}}) ==
          "vmx: truncated: segment 0 is 0x2001 bytes at byte 0x1000, the file has 0x3000");
    CHECK(error_of({{kLoad, ~u64{0}, 0, 0x100000, 2, 2, 0}}) ==
          "vmx: truncated: segment 0 is 0x2 bytes at byte 0xffffffffffffffff, the file has 0x3000");
    CHECK(error_of({{kLoad, 0x1000, 0, 0x100000, 1, 1, 0}, {kNote, 0x2fff, 0, 0, 2, 2, 4}}) ==
          "vmx: truncated: note segment 1 is 0x2 bytes at byte 0x2fff, the file has 0x3000");
}

TEST_CASE("segments that are not in RAM are refused with the range", "[elf]") {
    CHECK(error_of({{kLoad, 0x1000, 0, 0x1000000, 1, 0x1000, 0}}, 0x1000000) ==
          "vmx: kernel segment 0 (0x1000000-0x1000fff) is outside guest RAM of 2 MiB (see --memory)");
    CHECK(error_of({{kLoad, 0x1000, 0, 0x1ff000, 1, 0x1001, 0}}) ==
          "vmx: kernel segment 0 (0x1ff000-0x200000) is outside guest RAM of 2 MiB (see --memory)");
    CHECK(error_of({{kLoad, 0x1000, 0, ~u64{0} - 0xfff, 1, 0x1001, 0}}) ==
          "vmx: kernel segment 0 of 0x1001 bytes at 0xfffffffffffff000 wraps around the end of the address "
          "space");
    CHECK(error_of({{kLoad, 0x1000, 0, 0x100000, 1, ~u64{0}, 0}}) ==
          "vmx: kernel segment 0 of 0xffffffffffffffff bytes at 0x100000 wraps around the end of the address "
          "space");
}

TEST_CASE("a segment in the hole below 4 GiB is refused and the hole is named", "[elf]") {
    Bytes file = elf64(0xd0000000, {{kLoad, 0, 0, 0xd0000000, 64, 64, 0}});
    CHECK(Guest(GiB(5)).error_of(file) ==
          "vmx: kernel segment 0 (0xd0000000-0xd000003f) is outside guest RAM of 5 GiB, which has a hole "
          "from 3 to 4 "
          "GiB (see --memory)");
}

TEST_CASE("segments that overlap each other are refused with both ranges", "[elf]") {
    CHECK(error_of({{kLoad, 0x1000, 0, 0x100000, 1, 0x2000, 0}, {kLoad, 0x2000, 0, 0x101fff, 1, 0x10, 0}}) ==
          "vmx: kernel segment 1 (0x101fff-0x10200e) overlaps kernel segment 0 (0x100000-0x101fff)");
}

TEST_CASE("a segment over a table in low memory is refused and the table is named", "[elf]") {
    const std::pair<u64, const char*> rows[] = {
        {0x9fc00, "the extended BIOS data area (0x9fc00-0x9ffff)"},
        {0xe0000, "the ACPI tables (0xe0000-0xeffff)"},
        {0xfffff, "the MP table (0xf0000-0xfffff)"},
    };
    for (const auto& [address, row] : rows)
        CHECK(error_of({{kLoad, 0x1000, 0, address, 1, 1, 0}}, address) ==
              fmt::format("vmx: kernel segment 0 ({0:#x}-{0:#x}) overlaps {1}", address, row));
}

TEST_CASE("low memory above the fixed rows is for kernels to use", "[elf]") {
    Bytes file = elf64(0x30000, {{kLoad, 0, 0, 0x30000, 64, 0x6fc00, 0}});
    CHECK(Guest().boot(file));
}

TEST_CASE("an entry point outside every segment is refused", "[elf]") {
    CHECK(error_of({{kLoad, 0x1000, 0x100000, 0x100000, 1, 0x10, 0}}, 0x100010) ==
          "vmx: the entry point 0x100010 is in no loaded segment");
    CHECK(error_of({{kLoad, 0x1000, 0x100000, 0x100000, 1, 0x10, 0}}, 0xfffff) ==
          "vmx: the entry point 0xfffff is in no loaded segment");
}

TEST_CASE("segments above 4 GiB are loaded there", "[elf]") {
    Bytes file =
        elf64(0x100000, {{kLoad, 0x200, 0, 0x100000, 4, 4, 0}, {kLoad, 0x204, 0, 0x1'0000'0000, 4, 4, 0}});
    file.resize(0x200);
    put_text(file, 0x200, "low.high");
    Guest guest(GiB(4));
    REQUIRE(guest.boot(file));
    CHECK(guest.text_at(0x1'0000'0000) == "high");
}
