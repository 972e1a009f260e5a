// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/guest_pages.h"
#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

Bytes with_multiboot1(Bytes file) {
    put<u32>(file, 0x800, 0x1badb002);
    put<u32>(file, 0x804, 0);
    put<u32>(file, 0x808, 0u - 0x1badb002);
    return file;
}

Bytes with_multiboot2(Bytes file) {
    put<u32>(file, 0x900, 0xe85250d6);
    put<u32>(file, 0x904, 0);
    put<u32>(file, 0x908, 24);
    put<u32>(file, 0x90c, 0u - 0xe85250d6 - 24);
    put<u32>(file, 0x910, 0);
    put<u32>(file, 0x914, 8);
    return file;
}

KernelChoice choice_of(const Bytes& file, Protocol wanted = Protocol::Auto) {
    return choose_kernel(Image::from_bytes("vmx", file), wanted).value();
}

std::string error_of(const Bytes& file, Protocol wanted = Protocol::Auto) {
    const auto choice = choose_kernel(Image::from_bytes("vmx", file), wanted);
    return choice ? "chosen" : choice.error().message();
}

Bytes text(std::string_view text) {
    Bytes bytes;
    put_text(bytes, 0, text);
    return bytes;
}

}  // namespace

TEST_CASE("auto prefers PVH, then Multiboot 2, then Multiboot, then the Linux entry", "[choose]") {
    CHECK(choice_of(with_multiboot1(with_multiboot2(kernel64(pvh_note())))).protocol == Protocol::Pvh);
    CHECK(choice_of(with_multiboot1(with_multiboot2(kernel64()))).protocol == Protocol::Multiboot2);
    CHECK(choice_of(with_multiboot1(kernel64())).protocol == Protocol::Multiboot);
    CHECK(choice_of(with_multiboot1(kernel32())).protocol == Protocol::Multiboot);
    CHECK(choice_of(kernel64()).protocol == Protocol::Linux);
    CHECK_FALSE(choice_of(kernel64()).is_linux);
}

TEST_CASE("an ELF64 with a note of Linux is entered by the Linux protocol, also with a PVH note",
          "[choose]") {
    for (const Bytes& linux_note :
         {note({"Linux\0", 6}, 0x100, text("salt"), 4), note({"Linux\0", 6}, 0x101, Bytes(4), 4),
          note({"Xen\0", 4}, 6, text("linux"), 4)}) {
        Bytes notes = pvh_note();
        append(notes, linux_note);
        const KernelChoice choice = choice_of(kernel64(notes));
        CHECK(choice.protocol == Protocol::Linux);
        CHECK(choice.is_linux);
        CHECK(choice.why == "ELF64 with a note of Linux");
    }
}

TEST_CASE("a requested protocol is used", "[choose]") {
    const Bytes all = with_multiboot1(with_multiboot2(kernel64(pvh_note())));
    for (const Protocol wanted : {Protocol::Linux, Protocol::Pvh, Protocol::Multiboot, Protocol::Multiboot2})
        CHECK(choice_of(all, wanted).protocol == wanted);
}

TEST_CASE("a protocol that the file lacks is refused with the missing part", "[choose]") {
    CHECK(error_of(kernel64(), Protocol::Pvh) ==
          "vmx: protocol pvh needs an ELF with a PVH note, which this file lacks");
    CHECK(error_of(kernel32(), Protocol::Linux) ==
          "vmx: protocol linux needs a bzImage or an ELF64, which this file lacks");
    CHECK(error_of(kernel64(), Protocol::Multiboot) ==
          "vmx: protocol multiboot needs a Multiboot header in the first 8192 bytes, which this file lacks");
    CHECK(error_of(kernel64(), Protocol::Multiboot2) ==
          "vmx: protocol multiboot2 needs a Multiboot 2 header in the first 32768 bytes, which this file "
          "lacks");
}

TEST_CASE("an ELF32 with no known entry is refused with the list of searched entries", "[choose]") {
    CHECK(error_of(kernel32()) ==
          "vmx: this ELF32 has no PVH note, no Multiboot header and no Multiboot 2 header (the Linux 64-bit "
          "protocol "
          "needs an ELF64)");
}

TEST_CASE("a file that is not a kernel is refused with its first bytes", "[choose]") {
    CHECK(error_of(text("#!/bin/sh\n")) ==
          "vmx: not a kernel: no bzImage, ELF or Multiboot header; it starts with 23 21 2f 62 69 6e 2f 73 "
          "\"#!/bin/s\"");
    CHECK(error_of(from_hex("00")) ==
          "vmx: not a kernel: no bzImage, ELF or Multiboot header; it starts with 00 \".\"");
    CHECK(error_of(from_hex("1f8b0800")) == "vmx: this is a gzip file, not a kernel (unpack it first)");
    CHECK(error_of(Bytes(40000)) ==
          "vmx: not a kernel: no bzImage, ELF or Multiboot header; it starts with 00 00 00 00 00 00 00 00 "
          "\"........\"");
}

TEST_CASE("a Multiboot kernel may be an invalid ELF", "[choose]") {
    Bytes file = with_multiboot1(kernel64());
    put<u16>(file, 18, 40);  // ARM
    CHECK(choice_of(file).protocol == Protocol::Multiboot);
}

TEST_CASE("a kernel's headers are not read again to load it", "[choose]") {
    const Bytes salt = note({"Linux\0", 6}, 0x100, text("salt"), 4);
    const std::pair<Protocol, Bytes> kernels[] = {{Protocol::Linux, kernel64(salt)},
                                                  {Protocol::Pvh, kernel32(pvh_note())},
                                                  {Protocol::Multiboot, with_multiboot1(kernel32())},
                                                  {Protocol::Multiboot2, with_multiboot2(kernel64())}};
    for (const auto& [protocol, file] : kernels) {
        CAPTURE(to_string(protocol));
        Guest ordinary;
        const EntryState entry = ordinary.boot(file).value();
        CHECK(ordinary.choice.protocol == protocol);

        const Image image = file_of(file);
        const KernelChoice choice = choose_kernel(image, Protocol::Auto).value();
        const Bytes nothing(kCodeOffset);  // in place of the headers
        REQUIRE(::pwrite(image.file()->get(), nothing.data(), nothing.size(), 0) == kCodeOffset);
        Guest guest;
        const EntryState other = load_guest(image, choice, guest.request, guest.ram, guest.map).value();
        CHECK(other.rip == entry.rip);
        CHECK(guest.at(0, MiB(2)) == ordinary.at(0, MiB(2)));
    }
}

TEST_CASE("the sections of a kernel that says it is Linux are read with its headers", "[choose]") {
    const auto has_sections = [](std::string_view name) {
        Bytes file = kernel64(note(name, 0x100, text("salt"), 4));
        put_section(file, 0x800, {});
        put_section_table(file, 0x800, 1);
        return choice_of(file).headers.elf->value().sections.has_value();
    };
    CHECK(has_sections({"Linux\0", 6}));
    CHECK_FALSE(has_sections({"Other\0", 6}));
}
