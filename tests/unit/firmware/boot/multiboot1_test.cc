// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// Writes a header at `at`; with flag 16, the five address fields follow.
void put_header(Bytes& file, std::size_t at, u32 flags, std::initializer_list<u32> addresses = {}) {
    put<u32>(file, at, 0x1badb002);
    put<u32>(file, at + 4, flags);
    put<u32>(file, at + 8, 0u - 0x1badb002 - flags);
    std::size_t next = at + 12;
    for (const u32 address : addresses) {
        put<u32>(file, next, address);
        next += 4;
    }
}

Bytes elf_kernel(u32 flags = 0) {
    Bytes file = kernel32();
    put_header(file, 0x800, flags);
    return file;
}

/// A flat binary of 256 bytes: header at 0x20, loaded at 1 MiB with the code at 0x40 and bss to 0x101000.
Bytes flat_kernel(std::initializer_list<u32> addresses = {0x100020, 0x100000, 0x100100, 0x101000, 0x100040}) {
    Bytes file(256);
    put_header(file, 0x20, 1 << 16, addresses);
    put_text(file, 0x40, kCode);
    return file;
}

std::string error_of(const Bytes& file) { return Guest().error_of(file, Protocol::Multiboot); }

}  // namespace

TEST_CASE("a Multiboot kernel finds its information, byte for byte", "[multiboot1]") {
    Guest guest;
    guest.request.command_line = "a b";
    const EntryState entry = guest.boot(elf_kernel(3), Protocol::Multiboot).value();
    CHECK(entry.mode == CpuMode::Protected32);
    CHECK(entry.rip == 0x100000);
    CHECK(entry.rax == 0x2badb002);
    CHECK(entry.rbx == 0x6000);
    Bytes info(88);
    put<u32>(info, 0, 0x24d);     // memory, command line, modules, map, loader name
    put<u32>(info, 4, 639);       // mem_lower
    put<u32>(info, 8, 1024);      // mem_upper
    put<u32>(info, 16, 0x20000);  // cmdline
    put<u32>(info, 44, 5 * 24);   // mmap_length
    put<u32>(info, 48, 0x6058);   // mmap_addr
    put<u32>(info, 64, 0x60d0);   // boot_loader_name
    CHECK(guest.at(0x6000, 88) == info);
    CHECK(guest.at(0x6058, 5 * 24) == from_hex("14000000 0000000000000000 00fc090000000000 01000000"
                                               "14000000 00fc090000000000 0004000000000000 02000000"
                                               "14000000 00000e0000000000 0000020000000000 02000000"
                                               "14000000 0000100000000000 0000100000000000 01000000"
                                               "14000000 000000e000000000 0000100000000000 02000000"));
    CHECK(guest.text_at(0x60d0) == "mayfly");
    CHECK(guest.text_at(0x20000) == "vmx a b");
    CHECK(guest.text_at(0x100000) == kCode);
}

TEST_CASE("modules follow the kernel at page boundaries, the initrd first, with file and arguments",
          "[multiboot1]") {
    const Bytes initrd(0x1001, std::byte{1});
    const Bytes second(5, std::byte{2});
    const Image initrd_image = Image::from_bytes("/rd.img", initrd);
    const Image second_image = Image::from_bytes("/m", second);
    const BootModule modules[] = {{&second_image, "x y"}};
    Guest guest;
    guest.request.initrd = &initrd_image;
    guest.request.modules = modules;
    REQUIRE(guest.boot(elf_kernel(), Protocol::Multiboot));
    CHECK(guest.value_at<u32>(0x6014) == 2);
    const u32 list = guest.value_at<u32>(0x6018);
    CHECK(guest.at(list, 32) ==
          from_hex("00201000 01301000 00000100 00000000 00401000 05401000 08000100 00000000"));
    CHECK(guest.text_at(0x10000) == "/rd.img");
    CHECK(guest.text_at(0x10008) == "/m x y");
    CHECK(guest.at(0x102000, 0x1001) == initrd);
    CHECK(guest.at(0x104000, 5) == second);
}

TEST_CASE("address fields load a flat binary, and win over ELF headers", "[multiboot1]") {
    Bytes disguised = flat_kernel();
    put_text(disguised, 0,
             "\x7f"
             "ELF");
    for (const Bytes& file : {flat_kernel(), disguised}) {
        Guest guest;
        const EntryState entry = guest.boot(file).value();
        CHECK(entry.rip == 0x100040);
        CHECK(guest.at(0x100000, 256) == file);
        CHECK(guest.at(0x100100, 0xf00) == Bytes(0xf00));
    }
}

TEST_CASE("a load end of 0 means the end of the file", "[multiboot1]") {
    Guest guest;
    const Bytes file = flat_kernel({0x100020, 0x100010, 0, 0, 0x100040});
    REQUIRE(guest.boot(file));
    CHECK(guest.at(0x100010, 240) == Bytes(file.begin() + 16, file.end()));
}

TEST_CASE("the header is found up to its last place, and not beyond", "[multiboot1]") {
    Bytes file = kernel32();
    file.resize(0x4000);
    Bytes last = file;
    put_header(last, 8192 - 12, 0);
    CHECK(error_of(last) == "booted");
    Bytes beyond = file;
    put_header(beyond, 8192 - 8, 0);
    CHECK(error_of(beyond) ==
          "vmx: protocol multiboot needs a Multiboot header in the first 8192 bytes, which this file lacks");
    Bytes bad_sum = elf_kernel();
    put<u32>(bad_sum, 0x808, 1);
    CHECK(error_of(bad_sum) != "booted");
}

TEST_CASE("requirements that mayfly does not meet are refused by name", "[multiboot1]") {
    CHECK(error_of(elf_kernel(1 << 2)) ==
          "vmx: this Multiboot kernel requires a video mode (header flag 2), and mayfly has no screen");
    CHECK(error_of(elf_kernel(1 << 5)) ==
          "vmx: this Multiboot kernel requires features 0x20 (header flags) that mayfly does not know");
    CHECK(error_of(elf_kernel(1u << 31)) == "booted");
}

TEST_CASE("address fields that contradict themselves or the file are refused", "[multiboot1]") {
    CHECK(error_of(flat_kernel({0x100020, 0x100021, 0x100100, 0, 0x100040})) ==
          "vmx: the Multiboot header's load address 0x100021 is above its header address 0x100020");
    CHECK(error_of(flat_kernel({0x100021, 0x100000, 0x100100, 0, 0x100040})) ==
          "vmx: the Multiboot header is 0x21 bytes above the load address, but only 0x20 into the file");
    CHECK(error_of(flat_kernel({0x100020, 0x100000, 0x100000, 0, 0x100040})) ==
          "vmx: the Multiboot header's load end 0x100000 is not above its load address 0x100000");
    CHECK(error_of(flat_kernel({0x100020, 0x100000, 0x100101, 0, 0x100040})) ==
          "vmx: truncated: the Multiboot header loads 0x101 bytes from byte 0x0, the file has 0x100");
    CHECK(error_of(flat_kernel({0x100020, 0x100000, 0x100100, 0x1000ff, 0x100040})) ==
          "vmx: the Multiboot header's bss end 0x1000ff is below its load end 0x100100");
    CHECK(error_of(flat_kernel({0x100020, 0x100000, 0x100100, 0x101000, 0x101000})) ==
          "vmx: the entry point 0x101000 is in no loaded segment");
    CHECK(error_of(flat_kernel({0xe0020, 0xe0000, 0xe0100, 0, 0xe0040})) ==
          "vmx: kernel segment 0 (0xe0000-0xe00ff) overlaps the ACPI tables (0xe0000-0xeffff)");
    CHECK(error_of(flat_kernel({0x100020, 0x100000, 0x100100, 0xffffffff, 0x100040})) ==
          "vmx: kernel segment 0 (0x100000-0xfffffffe) is outside guest RAM of 2 MiB (see --memory)");
}

TEST_CASE("a header that promises address fields beyond the file is refused", "[multiboot1]") {
    Bytes file = flat_kernel();
    file.resize(0x20 + 31);
    CHECK(error_of(file) ==
          "vmx: truncated: the Multiboot header at byte 32 has address fields beyond the file's 63 bytes");
}

TEST_CASE("a module that does not fit is refused with the available room", "[multiboot1]") {
    const Bytes module(MiB(1) - 0x2000 + 1);
    const Image image = Image::from_bytes("mod", module);
    const BootModule modules[] = {{&image, ""}};
    Guest guest;
    guest.request.modules = modules;
    CHECK(guest.error_of(elf_kernel(), Protocol::Multiboot) ==
          "mod: no room for its 1040385 bytes in guest RAM between 0x102000 and 0x200000");
}

TEST_CASE("module arguments that do not fit their area are refused", "[multiboot1]") {
    const Bytes module(1);
    const Image image = Image::from_bytes("mod", module);
    const BootModule modules[] = {{&image, std::string(65536, 'x')}};
    Guest guest;
    guest.request.modules = modules;
    CHECK(guest.error_of(elf_kernel(), Protocol::Multiboot) ==
          "the modules' names and arguments do not fit the 65536 bytes for boot information");
}
