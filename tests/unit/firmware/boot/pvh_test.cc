// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {
// e820 of a 2 MiB guest: RAM to 0x9fc00, EBDA, BIOS area, RAM to 2 MiB, ECAM.
const Bytes kMemoryMap = from_hex(
    "0000000000000000 00fc090000000000 01000000 00000000"
    "00fc090000000000 0004000000000000 02000000 00000000"
    "00000e0000000000 0000020000000000 02000000 00000000"
    "0000100000000000 0000100000000000 01000000 00000000"
    "000000e000000000 0000100000000000 02000000 00000000");
}  // namespace

TEST_CASE("a PVH kernel finds its start info, byte for byte", "[pvh]") {
    Guest guest;
    guest.request.command_line = "console=ttyS0";
    const EntryState entry = guest.boot(kernel64(pvh_note(0x100010))).value();
    CHECK(guest.choice.protocol == Protocol::Pvh);
    CHECK(guest.choice.why == "ELF64 with a PVH note");
    CHECK(entry.mode == CpuMode::Protected32);
    CHECK(entry.rip == 0x100010);
    CHECK(entry.rbx == 0x6000);
    CHECK(entry.rsp == 0x5ff0);
    // magic, version, flags, nr_modules; modlist; cmdline; rsdp; memmap; memmap_entries, reserved.
    CHECK(guest.at(0x6000, 56) ==
          from_hex("78c56e33 01000000 00000000 00000000 0000000000000000"
                   "0000020000000000 00000e0000000000 3860000000000000 05000000 00000000"));
    CHECK(guest.at(0x6038, 5 * 24) == kMemoryMap);
    CHECK(guest.text_at(0x20000) == "console=ttyS0");
    CHECK(guest.text_at(0x100000) == kCode);
}

TEST_CASE("a PVH entry has a flat GDT", "[pvh]") {
    Guest guest;
    REQUIRE(guest.boot(kernel32(pvh_note())));
    // Null, unused, code 0x10, data 0x18, TSS 0x20.
    CHECK(guest.at(0x500, 40) == from_hex("0000000000000000 0000000000000000 ffff0000009bcf00"
                                          "ffff00000093cf00 67000000008b0000"));
    CHECK(guest.choice.why == "ELF32 with a PVH note");
}

TEST_CASE("the initrd is the first PVH module, at the top of RAM; modules have their arguments", "[pvh]") {
    const Bytes initrd(0x1801, std::byte{0x11});
    const Bytes extra(3, std::byte{0x22});
    const Image initrd_image = Image::from_bytes("initrd.cpio", initrd);
    const Image extra_image = Image::from_bytes("extra", extra);
    const BootModule modules[] = {{&extra_image, "a=b c"}};
    Guest guest;
    guest.request.initrd = &initrd_image;
    guest.request.modules = modules;
    REQUIRE(guest.boot(kernel64(pvh_note())));
    CHECK(guest.value_at<u32>(0x600c) == 2);
    const u64 list = guest.value_at<u64>(0x6010);
    CHECK(guest.at(list, 64) ==
          from_hex("00e01f0000000000 0118000000000000 0000000000000000 0000000000000000"
                   "00d01f0000000000 0300000000000000 0000010000000000 0000000000000000"));
    CHECK(guest.at(0x1fe000, 0x1801) == initrd);
    CHECK(guest.at(0x1fd000, 3) == extra);
    CHECK(guest.text_at(0x10000) == "a=b c");
}

TEST_CASE("an initrd is placed below a kernel at the top of RAM, and refused where no room is left",
          "[pvh]") {
    Bytes file = elf32(0x1f0000, {{kLoad, 0, 0, 0x1f0000, 512, 0x10000, 0}, {kNote, 0x100, 0, 0, 20, 20, 4}});
    const Bytes pvh = pvh_note(0x1f0000);
    file.resize(512);
    std::memcpy(file.data() + 0x100, pvh.data(), pvh.size());
    Bytes initrd(0xf0000);
    const Image fits = Image::from_bytes("initrd", initrd);
    Guest guest;
    guest.request.initrd = &fits;
    REQUIRE(guest.boot(file));
    CHECK(guest.value_at<u64>(guest.value_at<u64>(0x6010)) == 0x100000);

    initrd.resize(0xf0001);
    const Image too_large = Image::from_bytes("initrd", initrd);
    Guest other;
    other.request.initrd = &too_large;
    CHECK(other.error_of(file) ==
          "initrd: no room for its 983041 bytes in guest RAM below 0x200000, beside the kernel");
}

TEST_CASE("PVH notes are found with either alignment and either descriptor size", "[pvh]") {
    Bytes wide;
    put<u64>(wide, 0, 0x100004);
    Bytes narrow;
    put<u32>(narrow, 0, 0x100004);
    for (const std::size_t alignment : {4u, 8u}) {
        for (const Bytes& descriptor : {wide, narrow}) {
            // Another owner's note of the same type comes first.
            Bytes notes = note({"GNU\0", 4}, 18, from_hex("0102030405"), alignment);
            append(notes, note({"Xen\0", 4}, 18, descriptor, alignment));
            Guest guest;
            CHECK(guest.boot(kernel64(notes, alignment)).value().rip == 0x100004);
            CHECK(guest.choice.protocol == Protocol::Pvh);
        }
    }
}

TEST_CASE("notes whose sizes run past their segment end the search", "[pvh]") {
    for (const std::size_t field : {0u, 4u}) {
        Bytes notes = pvh_note();
        put<u32>(notes, field, 0xfffffff0);
        Guest guest;
        REQUIRE(guest.boot(kernel64(notes)));
        CHECK(guest.choice.protocol == Protocol::Linux);
    }
}

TEST_CASE("a PVH entry outside the kernel is refused", "[pvh]") {
    CHECK(Guest().error_of(kernel64(pvh_note(0x102000))) ==
          "vmx: the PVH entry point 0x102000 is in no loaded segment");
}

TEST_CASE("a command line that does not fit its area is refused with the limit", "[pvh]") {
    Guest guest;
    guest.request.command_line = std::string(65535, 'x');
    REQUIRE(guest.boot(kernel64(pvh_note())));
    Guest other;
    other.request.command_line = std::string(65536, 'x');
    CHECK(other.error_of(kernel64(pvh_note())) ==
          "the command line has 65536 bytes, this kernel takes 65535");
}
