// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

Bytes tag(u16 type, u16 flags, std::initializer_list<u32> body) {
    Bytes out;
    put<u16>(out, 0, type);
    put<u16>(out, 2, flags);
    put<u32>(out, 4, static_cast<u32>(8 + 4 * body.size()));
    for (const u32 word : body) put<u32>(out, out.size(), word);
    out.resize(align_up(out.size(), 8));
    return out;
}

const Bytes kEnd = tag(0, 0, {});

void put_header(Bytes& file, std::size_t at, const Bytes& tags) {
    const u32 length = static_cast<u32>(16 + tags.size());
    put<u32>(file, at, 0xe85250d6);
    put<u32>(file, at + 4, 0);
    put<u32>(file, at + 8, length);
    put<u32>(file, at + 12, 0u - 0xe85250d6 - length);
    if (file.size() < at + length) file.resize(at + length);
    std::memcpy(file.data() + at + 16, tags.data(), tags.size());
}

Bytes elf_kernel(const Bytes& tags = {}) {
    Bytes all = tags;
    append(all, kEnd);
    Bytes file = kernel64();
    put_header(file, 0x800, all);
    return file;
}

std::string error_of(const Bytes& file) { return Guest().error_of(file, Protocol::Multiboot2); }
std::string error_with(const Bytes& tags) { return error_of(elf_kernel(tags)); }

}  // namespace

TEST_CASE("a Multiboot 2 kernel finds its information, byte for byte", "[multiboot2]") {
    const Bytes module(2, std::byte{7});
    const Image image = Image::from_bytes("m", module);
    const BootModule modules[] = {{&image, "z"}};
    Guest guest;
    guest.request.command_line = "quiet";
    guest.request.modules = modules;
    // An RSDP of version 2 with RSDT and XSDT.
    const Bytes rsdp =
        from_hex("5253442050545220 00 4d4159464c59 02 11223344 24000000 5566778899aabbcc 00000000");
    REQUIRE(guest.ram.memory().write(Gpa{0xe0000}, rsdp) == MemStatus::Ok);
    const EntryState entry = guest.boot(elf_kernel(), Protocol::Multiboot2).value();
    CHECK(entry.rax == 0x36d76289);
    CHECK(entry.rbx == 0x10000);
    CHECK(entry.rip == 0x100000);
    CHECK(entry.mode == CpuMode::Protected32);
    Bytes info = from_hex(
        "40010000 00000000"
        "01000000 12000000 766d78207175696574 00 000000000000"   // command line "vmx quiet"
        "02000000 0f000000 6d6179666c7900 00"                    // loader name
        "03000000 14000000 00201000 02201000 6d207a00 00000000"  // module "m z"
        "04000000 10000000 7f020000 00040000"                    // basic memory
        "06000000 88000000 18000000 00000000"                    // map
        "0000000000000000 00fc090000000000 01000000 00000000"
        "00fc090000000000 0004000000000000 02000000 00000000"
        "00000e0000000000 0000020000000000 02000000 00000000"
        "0000100000000000 0000100000000000 01000000 00000000"
        "000000e000000000 0000100000000000 02000000 00000000"
        "0e000000 1c000000 5253442050545220004d4159464c590211223344 00000000"  // RSDP, version 1
        "0f000000 2c000000 5253442050545220004d4159464c590211223344 24000000 5566778899aabbcc 00000000 "
        "00000000"
        "00000000 08000000");
    put<u32>(info, 0, static_cast<u32>(info.size()));
    CHECK(guest.at(0x10000, info.size()) == info);
    CHECK(guest.at(0x102000, 2) == module);
}

TEST_CASE("without ACPI the RSDP tag is missing", "[multiboot2]") {
    Guest guest;
    guest.request.rsdp = Gpa{0};
    REQUIRE(guest.boot(elf_kernel(), Protocol::Multiboot2));
    // 8, "vmx" 16, "mayfly" 16, basic memory 16, map 136, end 8.
    CHECK(guest.value_at<u32>(0x10000) == 200);
}

TEST_CASE("an entry address tag wins over the ELF's entry", "[multiboot2]") {
    Guest guest;
    CHECK(guest.boot(elf_kernel(tag(3, 0, {0x100008})), Protocol::Multiboot2).value().rip == 0x100008);
}

TEST_CASE("address tags load a flat binary, also from the start of the file", "[multiboot2]") {
    for (const u32 load_addr : {0x100000u, 0xffffffffu}) {
        Bytes tags = tag(2, 0, {0x100010, load_addr, 0, 0x101000});
        append(tags, tag(3, 0, {0x100080}));
        append(tags, kEnd);
        Bytes file(256);
        put_header(file, 0x10, tags);
        Guest guest;
        CHECK(guest.boot(file).value().rip == 0x100080);
        CHECK(guest.at(0x100000, 256) == file);
    }
}

TEST_CASE("a relocatable kernel stays where it was linked, or goes to the lowest place allowed",
          "[multiboot2]") {
    Guest stays;
    CHECK(stays.boot(elf_kernel(tag(10, 0, {0x100000, 0xffffffff, 0x1000, 0})), Protocol::Multiboot2)
              .value()
              .rip == 0x100000);
    Guest moves;
    CHECK(moves.boot(elf_kernel(tag(10, 0, {0x150001, 0x1fffff, 0x10000, 2})), Protocol::Multiboot2)
              .value()
              .rip == 0x160000);
    CHECK(moves.text_at(0x160000) == kCode);
    CHECK(moves.at(0x100000, 16) == Bytes(16));
    // The load base tag comes last but one, before the end tag.
    const u32 total = moves.value_at<u32>(0x10000);
    CHECK(moves.at(0x10000 + total - 24, 24) ==
          from_hex("15000000 0c000000 00001600 00000000 00000000 08000000"));
}

TEST_CASE("relocation ranges that are too small or invalid are refused", "[multiboot2]") {
    CHECK(error_with(tag(10, 0, {0x200000, 0x300000, 0x1000, 0})) ==
          "vmx: no room for this relocatable kernel of 0x2000 bytes in guest RAM between 0x200000 and "
          "0x300000");
    CHECK(error_with(tag(10, 0, {0x100000, 0x200000, 3, 0})) ==
          "vmx: the Multiboot 2 relocation alignment 0x3 is not a power of two");
    CHECK(error_with(tag(10, 0, {0x200000, 0x100000, 8, 0})) ==
          "vmx: the Multiboot 2 relocation range 0x200000-0x100000 is empty");
}

TEST_CASE("required tags that mayfly does not meet are refused by name, optional ones ignored",
          "[multiboot2]") {
    CHECK(error_with(tag(1, 0, {1, 3, 6, 22})) ==
          "vmx: this Multiboot 2 kernel requires information 22, which mayfly does not know");
    // Known, but not available: EFI64, framebuffer, ELF symbols.
    for (u32 type = 0; type <= 21; ++type) CHECK(error_with(tag(1, 0, {type})) == "booted");
    CHECK(error_with(tag(1, 1, {9, 1000})) == "booted");
    CHECK(error_with(tag(1, 0, {1, 2, 3, 4, 6, 14, 15})) == "booted");
    CHECK(error_with(tag(4, 0, {1})) ==
          "vmx: this Multiboot 2 kernel requires a console (tag 4), and mayfly has no screen");
    CHECK(error_with(tag(4, 0, {2})) == "booted");
    CHECK(error_with(tag(5, 0, {80, 25, 0})) ==
          "vmx: this Multiboot 2 kernel requires a framebuffer (tag 5), and mayfly has no screen");
    CHECK(error_with(tag(5, 1, {80, 25, 0})) == "booted");
    CHECK(error_with(tag(6, 0, {})) == "booted");
    CHECK(error_with(tag(7, 0, {})) == "booted");
    CHECK(error_with(tag(77, 0, {})) ==
          "vmx: this Multiboot 2 kernel requires header tag 77, which mayfly does not know");
    CHECK(error_with(tag(77, 1, {})) == "booted");
}

TEST_CASE("malformed Multiboot 2 headers are refused", "[multiboot2]") {
    Bytes file = kernel64();
    put_header(file, 0x800, tag(6, 0, {}));
    CHECK(error_of(file) == "vmx: the Multiboot 2 header of 24 bytes has no end tag");
    Bytes short_tag = tag(6, 0, {});
    put<u32>(short_tag, 4, 0);
    CHECK(error_with(short_tag) == "vmx: Multiboot 2 header tag 6 at byte 16 has 0 bytes, the header has 32");
    put<u32>(short_tag, 4, 0xfffffff8);
    CHECK(error_with(short_tag) ==
          "vmx: Multiboot 2 header tag 6 at byte 16 has 4294967288 bytes, the header has 32");
    CHECK(error_with(tag(3, 0, {})) == "vmx: Multiboot 2 header tag 3 has 8 bytes, fewer than 12");
    CHECK(error_with(tag(2, 0, {0x100800, 0x100000, 0, 0})) ==
          "vmx: the Multiboot 2 header has an address tag, but no entry address tag");
    Bytes long_header = kernel64();
    put_header(long_header, 0x800, kEnd);
    put<u32>(long_header, 0x808, 0x10000);
    put<u32>(long_header, 0x80c, 0u - 0xe85250d6 - 0x10000);
    CHECK(error_of(long_header) ==
          "vmx: truncated: the Multiboot 2 header has 65536 bytes at byte 2048, beyond the first 4113");
}
