// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_release.h"

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kConstantsAt = 0x1000;
constexpr u16 kPointer = 0x20e;
constexpr std::string_view kNames{"\0.rodata\0.shstrtab\0", 19};

/// An ELF64 of Linux whose constants are `text`.
Bytes vmlinux(std::string_view text) {
    Bytes file = elf64(0x100000, {{kLoad, 0, 0, 0x100000, 0, 0x1000, 0}});
    file.resize(kConstantsAt);
    put_text(file, kConstantsAt, text);
    const std::size_t names_at = file.size();
    put_text(file, names_at, kNames);
    const std::size_t headers_at = align_up(file.size(), 8);
    put_section(file, headers_at, {});
    put_section(file, headers_at + 64, {1, 1, 0, 0, kConstantsAt, text.size()});
    put_section(file, headers_at + 128, {9, 3, 0, 0, names_at, kNames.size()});
    put_section_table(file, headers_at, 3);
    return file;
}

std::string release_of_elf(std::string_view text) {
    const Bytes file = vmlinux(text);
    const UnpackedKernel kernel = read_unpacked(Image::from_bytes("vmlinux", file));
    const ElfKernel* elf = good_elf(kernel.elf);
    REQUIRE(elf != nullptr);
    return linux_release(kernel.image, {}, ElfImage{kernel.image, *elf});
}

std::string release_of_bzimage(const Bytes& file) {
    const Image image = Image::from_bytes("bzImage", file);
    const KernelChoice choice = choose_kernel(image, Protocol::Linux).value();
    REQUIRE(choice.headers.bzimage.has_value());
    return linux_release(image, choice.headers, std::nullopt);
}

/// A bzImage whose header points to `text`, at `at` of the file.
Bytes with_version(std::string_view text, u16 at = 0x400) {
    Bytes file = bzimage(Bytes(0x100));
    put_text(file, at, text);
    put<u16>(file, kPointer, static_cast<u16>(at - 0x200));
    return file;
}

using namespace std::string_view_literals;

}  // namespace

TEST_CASE("a vmlinux tells its release by its banner", "[linux_release]") {
    CHECK(release_of_elf("x\0Linux version 6.12.9+bpo-cloud-amd64 (debian@x) (gcc)\n\0y"sv) ==
          "6.12.9+bpo-cloud-amd64");
    CHECK(release_of_elf("Linux version 5.10.0-rc1~x_1 #1"sv) == "5.10.0-rc1~x_1");
    CHECK(release_of_elf("Linux version 7\0"sv) == "7");
    CHECK(release_of_elf("no banner"sv).empty());
}

TEST_CASE("a text that cannot be a directory's name is not a release", "[linux_release]") {
    CHECK(release_of_elf("Linux version %s (%s)\0"sv).empty());
    CHECK(release_of_elf("Linux version ../../etc \0"sv).empty());
    CHECK(release_of_elf("Linux version 6/../../etc \0"sv).empty());
    CHECK(release_of_elf("Linux version 6\n"sv).empty());
    CHECK(release_of_elf("Linux version "sv).empty());
    CHECK(release_of_elf("Linux version 6." + std::string(62, '1') + " ").size() == 64);
    CHECK(release_of_elf("Linux version 6." + std::string(63, '1') + " ").empty());
}

TEST_CASE("a bzImage tells its release by its header", "[linux_release]") {
    CHECK(release_of_bzimage(with_version("6.1.0-9-amd64 (debian@x) #1 SMP\0"sv)) == "6.1.0-9-amd64");
    CHECK(release_of_bzimage(bzimage(Bytes(0x100))).empty());
    // The pointer is of two setup sectors at most here; behind them is the kernel.
    CHECK(release_of_bzimage(with_version("6.1 \0"sv, 0x5f0)) == "6.1");
    CHECK(release_of_bzimage(with_version("6.1 \0"sv, 0x600)).empty());
    Bytes beyond = bzimage(Bytes(0x100));
    put<u16>(beyond, kPointer, 0xffff);
    CHECK(release_of_bzimage(beyond).empty());
}

TEST_CASE("without a release in its header, a bzImage's banner is used", "[linux_release]") {
    const Bytes file = bzimage(Bytes(0x100));
    const Image image = Image::from_bytes("bzImage", file);
    const KernelChoice choice = choose_kernel(image, Protocol::Linux).value();
    const Bytes elf_file = vmlinux("\0Linux version 6.6 (x)\0"sv);
    const UnpackedKernel inside = read_unpacked(Image::from_bytes("vmlinux", elf_file));
    const ElfKernel* elf = good_elf(inside.elf);
    REQUIRE(elf != nullptr);
    CHECK(linux_release(image, choice.headers, ElfImage{inside.image, *elf}) == "6.6");
}
