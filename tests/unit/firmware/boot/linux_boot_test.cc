// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

TEST_CASE("an ELF64 finds the zero page, byte for byte", "[linux_boot]") {
    Guest guest;
    guest.request.command_line = "quiet";
    for (std::size_t i = 0; i < 32; i++) guest.request.rng_seed[i] = static_cast<u8>(0xa0 + i);
    const EntryState entry = guest.boot(kernel64()).value();
    CHECK(guest.choice.protocol == Protocol::Linux);
    CHECK(entry.mode == CpuMode::Long64);
    CHECK(entry.rip == 0x100000);
    CHECK(entry.rsi == 0x7000);
    CHECK(entry.rsp == 0x5ff0);

    Bytes page(4096);
    put<u64>(page, 0x070, 0xe0000);     // acpi_rsdp_addr
    put<u8>(page, 0x1e8, 5);            // e820_entries
    put<u16>(page, 0x1fe, 0xaa55);      // boot_flag
    put_text(page, 0x202, "HdrS");      // header
    put<u16>(page, 0x206, 0x020f);      // version
    put<u8>(page, 0x210, 0xff);         // type_of_loader
    put<u8>(page, 0x211, 1);            // loadflags: LOADED_HIGH
    put<u32>(page, 0x228, 0x20000);     // cmd_line_ptr
    put<u32>(page, 0x22c, 0x7fffffff);  // initrd_addr_max
    put<u32>(page, 0x230, 0x1000000);   // kernel_alignment
    put<u32>(page, 0x238, 2047);        // cmdline_size
    put<u64>(page, 0x250, 0x8000);      // setup_data
    const Bytes e820 = from_hex(
        "0000000000000000 00fc090000000000 01000000"
        "00fc090000000000 0004000000000000 02000000"
        "00000e0000000000 0000020000000000 02000000"
        "0000100000000000 0000100000000000 01000000"
        "000000e000000000 0000100000000000 02000000");
    std::memcpy(page.data() + 0x2d0, e820.data(), e820.size());
    CHECK(guest.at(0x7000, 4096) == page);
    CHECK(guest.text_at(0x20000) == "quiet");
    // next, SETUP_RNG_SEED, length, seed.
    CHECK(guest.at(0x8000, 48) == from_hex("0000000000000000 09000000 20000000"
                                           "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
                                           "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"));
}

TEST_CASE("the 64-bit entry has a GDT and maps 4 GiB to itself", "[linux_boot]") {
    Guest guest;
    REQUIRE(guest.boot(kernel64()));
    // mov $0xcf9,%dx; mov $6,%al; out %al,(%dx); hlt; jmp to the hlt: where a real-mode reboot jumps to.
    CHECK(guest.at(0xffff0, 9) == from_hex("baf90c b006 ee f4 ebfd"));
    CHECK(guest.at(0x500, 48) == from_hex("0000000000000000 0000000000000000 ffff0000009baf00"
                                          "ffff00000093cf00 67000000008b0000 0000000000000000"));
    Bytes pml4(4096);
    put<u64>(pml4, 0, 0xa003);
    CHECK(guest.at(0x9000, 4096) == pml4);
    Bytes pdpt(4096);
    for (u64 i = 0; i < 4; i++) put<u64>(pdpt, 8 * i, (0xb000 + 0x1000 * i) | 3);
    CHECK(guest.at(0xa000, 4096) == pdpt);
    Bytes directories(4 * 4096);
    for (u64 i = 0; i < 4 * 512; i++) put<u64>(directories, 8 * i, (i * 0x200000) | 0x83);
    CHECK(guest.at(0xb000, directories.size()) == directories);
}

TEST_CASE("the initrd of an ELF64 is at the top of low RAM, below 2 GiB", "[linux_boot]") {
    const Bytes initrd(5000, std::byte{0x5a});
    const Image image = Image::from_bytes("initrd", initrd);
    for (const auto& [ram_bytes, expected] :
         {std::pair<u64, u32>{MiB(64), 0x3ffe000}, std::pair<u64, u32>{GiB(5), 0x7fffe000}}) {
        Guest guest(ram_bytes);
        guest.request.initrd = &image;
        REQUIRE(guest.boot(kernel64()));
        CHECK(guest.value_at<u32>(0x7218) == expected);
        CHECK(guest.value_at<u32>(0x721c) == 5000);
        CHECK(guest.value_at<u32>(0x70c0) == 0);
        CHECK(guest.at(expected, 5000) == initrd);
    }
}

TEST_CASE("an initrd that does not fit beside the kernel is refused with the sizes", "[linux_boot]") {
    const Bytes initrd(MiB(1) - 0x2000 + 1);
    const Image image = Image::from_bytes("rd", initrd);
    Guest guest;
    guest.request.initrd = &image;
    CHECK(guest.error_of(kernel64()) ==
          "initrd rd: no room for its 1040385 bytes in guest RAM below 0x200000, beside the kernel");
}

TEST_CASE("a Linux command line is limited to 2047 bytes", "[linux_boot]") {
    Guest guest;
    guest.request.command_line = std::string(2047, 'x');
    REQUIRE(guest.boot(kernel64()));
    Guest other;
    other.request.command_line = std::string(2048, 'x');
    CHECK(other.error_of(kernel64()) == "the command line has 2048 bytes, this kernel takes 2047");
}

TEST_CASE("modules are refused where the protocol has none", "[linux_boot]") {
    const Bytes bytes(1);
    const Image image = Image::from_bytes("m", bytes);
    const BootModule modules[] = {{&image, ""}};
    Guest guest;
    guest.request.modules = modules;
    CHECK(guest.error_of(kernel64()) ==
          "the Linux boot protocol has no modules (use --initrd, or a kernel with a PVH note)");
}

TEST_CASE("a 64-bit entry above 4 GiB is refused", "[linux_boot]") {
    const Bytes file = elf64(0x1'0000'0000, {{kLoad, 0, 0, 0x1'0000'0000, 64, 64, 0}});
    CHECK(Guest(GiB(4)).error_of(file) ==
          "the entry point 0x100000000 is above 4 GiB, where nothing is mapped yet");
}
