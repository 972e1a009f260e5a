// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_driver.h"

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr std::string_view kDriver = "virtio_console";
constexpr std::string_view kWord{"\0virtio_console\0", 16};
constexpr u64 kConstantsAt = 0x1000;
constexpr u64 kChunk = KiB(256);

constexpr std::string_view kNames{"\0.text\0.rodata\0.rodata1\0.shstrtab\0", 34};
constexpr u32 kNameText = 1;
constexpr u32 kNameConstants = 7;
constexpr u32 kNameOther = 15;
constexpr u32 kNameNames = 24;

bool has_name(Image file, std::string_view name) {
    const UnpackedKernel vmlinux = read_unpacked(std::move(file));
    const ElfKernel* elf = good_elf(vmlinux.elf);
    return elf != nullptr && has_driver({vmlinux.image, *elf}, name);
}

/// An ELF64 with constants at kConstantsAt, then section names, then headers: none, .text, .rodata, names.
struct Vmlinux {
    explicit Vmlinux(const Bytes& constants)
        : file(elf64(0x100000, {{kLoad, 0, 0, 0x100000, 0, 0x1000, 0}})) {
        file.resize(kConstantsAt);
        append(file, constants);
        names_at = file.size();
        put_text(file, names_at, kNames);
        headers_at = align_up(file.size(), 8);
        put_section(file, headers_at, {});
        put_section(file, header(1), {kNameText, 1, 0, 0, 0, 64});
        put_section(file, header(2), {kNameConstants, 1, 0, 0, kConstantsAt, constants.size()});
        put_section(file, header(3), {kNameNames, 3, 0, 0, names_at, kNames.size()});
        put_section_table(file, headers_at, 4);
    }
    [[nodiscard]] std::size_t header(std::size_t index) const { return headers_at + 64 * index; }
    [[nodiscard]] bool has(std::string_view name = kDriver) const {
        return has_name(Image::from_bytes("vmlinux", file), name);
    }

    Bytes file;
    std::size_t names_at = 0;
    std::size_t headers_at = 0;
};

/// `bytes` of constants with `word` at `at`.
Bytes constants(std::size_t bytes, std::size_t at, std::string_view word = kWord) {
    Bytes out(bytes, std::byte{'x'});
    put_text(out, at, word);
    return out;
}

/// The driver is found, and no longer found once a field of the file has another value.
template <typename T>
bool has_with(std::size_t at, T value) {
    Vmlinux kernel(constants(0x100, 0x40));
    put<T>(kernel.file, at, value);
    return kernel.has();
}
template <typename T>
bool has_with_header(std::size_t index, std::size_t at, T value) {
    Vmlinux kernel(constants(0x100, 0x40));
    put<T>(kernel.file, kernel.header(index) + at, value);
    return kernel.has();
}

}  // namespace

TEST_CASE("a driver is built in where its name is one of the kernel's constants", "[linux_driver]") {
    const Vmlinux kernel(constants(0x100, 0x40));
    CHECK(kernel.has());
    for (const char* other : {"virtio_rng", "virtio_consol", "irtio_console", "virtio_console1", "x"})
        CHECK_FALSE(kernel.has(other));
    CHECK_FALSE(Vmlinux(constants(0x100, 0x40, {"\0virtio_console2\0", 17})).has());
    CHECK_FALSE(Vmlinux(constants(0x100, 0x40, {"\0drivers/virtio_console\0", 24})).has());
    CHECK_FALSE(Vmlinux(Bytes(0x100)).has());
    CHECK_FALSE(Vmlinux({}).has());
}

TEST_CASE("a driver is surely not built in where no constant of a kernel ends with its name",
          "[linux_driver]") {
    const auto lacks = [](std::string_view name, std::string_view words) {
        const Bytes file = Vmlinux(constants(0x100, 0x40, words)).file;
        const UnpackedKernel vmlinux = read_unpacked(Image::from_bytes("vmlinux", file));
        return surely_lacks({vmlinux.image, *good_elf(vmlinux.elf)}, name);
    };
    CHECK(lacks("virtiofs", {"\0sysfs\0", 7}));
    CHECK_FALSE(lacks("virtiofs", {"\0sysfs\0virtiofs\0", 16}));
    CHECK_FALSE(lacks("virtiofs", {"\0sysfs\0no virtiofs\0", 19}));
    CHECK(lacks("virtiofs", {"\0sysfs\0virtiofs: %s\0", 20}));
    CHECK(lacks("overlay", {"\0sysfs\0overlay\0", 15}));
    CHECK_FALSE(lacks("overlay", {"\0sysfs\0\0013overlayfs: upper fs\0", 29}));
    // Nothing is certain about a kernel whose constants cannot be read.
    CHECK_FALSE(lacks("virtiofs", ""));
}

TEST_CASE("a driver's name outside the constants is ignored", "[linux_driver]") {
    // A list of modules, or a command line, in another section.
    Vmlinux kernel(Bytes(0x100));
    put_text(kernel.file, 0x800, kWord);
    put_text(kernel.file, kernel.file.size(), kWord);
    CHECK_FALSE(kernel.has());
    CHECK_FALSE(has_with_header<u32>(2, 0, kNameOther));          // .rodata1
    CHECK_FALSE(has_with_header<u32>(2, 0, kNameText));           // two sections .text
    CHECK_FALSE(has_with_header<u32>(2, 0, kNameConstants + 1));  // "rodata"
    CHECK_FALSE(has_with_header<u32>(2, 4, 8));                   // SHT_NOBITS: its bytes are not in the file
}

TEST_CASE("a driver's name is found at either end of the constants and across every border of a chunk",
          "[linux_driver]") {
    for (const std::size_t bytes :
         {kWord.size(), kWord.size() + 1, std::size_t{kChunk}, std::size_t{kChunk + 40}}) {
        CAPTURE(bytes);
        CHECK(Vmlinux(constants(bytes, 0)).has());
        CHECK(Vmlinux(constants(bytes, bytes - kWord.size())).has());
    }
    for (std::size_t before = 0; before <= kWord.size() + 1; ++before) {
        CAPTURE(before);
        CHECK(Vmlinux(constants(2 * kChunk + 100, kChunk - before)).has());
        CHECK(Vmlinux(constants(2 * kChunk + 100, 2 * kChunk - before)).has());
        CHECK(Vmlinux(constants(kChunk - before + kWord.size(), kChunk - before)).has());
    }
    // A byte short of the word, at the end of what is read.
    CHECK_FALSE(Vmlinux(constants(kWord.size() - 1, 0, kWord.substr(0, kWord.size() - 1))).has());
    CHECK_FALSE(Vmlinux(constants(kChunk + 15, kChunk, kWord.substr(0, 15))).has());
}

TEST_CASE("constants beyond 64 MiB are not searched", "[linux_driver]") {
    Vmlinux kernel(constants(0x100, 0x40));
    const u64 grown = MiB(64) + 1;
    kernel.file.resize(kConstantsAt + grown);
    put<u64>(kernel.file, kernel.header(2) + 32, grown);
    CHECK_FALSE(kernel.has());
    put<u64>(kernel.file, kernel.header(2) + 32, grown - 1);
    CHECK(kernel.has());
}

TEST_CASE("a file that is not an ELF64 with sections has no drivers", "[linux_driver]") {
    CHECK(has_with<u8>(0, 0x7f));
    CHECK_FALSE(has_with<u8>(0, 0x7e));
    CHECK_FALSE(has_with<u8>(4, 1));  // ELFCLASS32
    CHECK_FALSE(has_with<u16>(58, 40));
    CHECK_FALSE(has_with<u16>(60, 0));
    CHECK_FALSE(has_with<u16>(60, 3));  // the names' index is not below it
    CHECK_FALSE(has_with<u16>(60, 513));
    CHECK_FALSE(has_with<u16>(60, 0xffff));
    CHECK_FALSE(has_with<u16>(62, 4));
    CHECK_FALSE(has_with<u16>(62, 0xffff));
    const Bytes whole = Vmlinux(constants(0x100, 0x40)).file;
    for (std::size_t bytes = 1; bytes < whole.size(); bytes += bytes < 80 ? 1 : 61)
        CHECK_FALSE(has_name(Image::from_bytes("vmlinux", std::span(whole).first(bytes)), kDriver));
    CHECK_FALSE(has_name(Image::from_bytes("vmlinux", kernel64()), kDriver));
    CHECK_FALSE(has_name(Image::from_bytes("vmlinux", kernel32()), kDriver));
}

TEST_CASE("with wrong section headers no driver is found", "[linux_driver]") {
    for (const u64 offset : {u64{0x10'0000}, ~u64{0}, ~u64{0} - 255, u64{1} << 63}) {
        CAPTURE(offset);
        CHECK_FALSE(has_with<u64>(40, offset));            // e_shoff
        CHECK_FALSE(has_with_header<u64>(2, 24, offset));  // of the constants
        // Their size: searched as far as the file goes, unless it cannot be meant.
        CHECK(has_with_header<u64>(2, 32, offset) == (offset <= MiB(64)));
        CHECK_FALSE(has_with_header<u64>(3, 24, offset));  // of the names
    }
    CHECK_FALSE(has_with_header<u64>(3, 32, 0x10000));  // names beyond the file
    CHECK_FALSE(has_with_header<u64>(3, 32, ~u64{0}));
    CHECK_FALSE(has_with_header<u64>(3, 32, 0));
    CHECK_FALSE(has_with_header<u32>(2, 0, ~0U));
    CHECK_FALSE(has_with_header<u32>(2, 0, static_cast<u32>(kNames.size())));
    // An unterminated name ends where the section ends.
    CHECK(has_with_header<u64>(3, 32, kNameConstants + 7));
    CHECK_FALSE(has_with_header<u64>(3, 32, kNameConstants + 6));
    // An earlier section whose name lies outside the file does not matter.
    CHECK(has_with_header<u32>(1, 0, ~0U));
    // A huge table of names is read up to a limit.
    Vmlinux kernel(constants(0x100, 0x40));
    kernel.file.resize(kernel.file.size() + KiB(64));
    put<u64>(kernel.file, kernel.header(3) + 32, ~u64{0} >> 1);
    CHECK(kernel.has());
}

TEST_CASE("truncated constants are searched to their end", "[linux_driver]") {
    const auto has_at = [](std::size_t at) {
        Vmlinux kernel(constants(2 * kChunk + 100, at));
        put<u64>(kernel.file, kernel.header(2) + 32, MiB(8));
        return kernel.has();
    };
    CHECK(has_at(100));
    CHECK(has_at(2 * kChunk + 50));
}

TEST_CASE("a driver is found in a file and in an unpacked kernel alike", "[linux_driver]") {
    const Bytes found = Vmlinux(constants(kChunk + 100, kChunk - 3)).file;
    const Bytes missing = Vmlinux(constants(kChunk + 100, kChunk - 3, "nothing")).file;
    for (const Bytes* bytes : {&found, &missing}) {
        const int fd = ::memfd_create("vmlinux", MFD_CLOEXEC);
        REQUIRE(::write(fd, bytes->data(), bytes->size()) == static_cast<ssize_t>(bytes->size()));
        CHECK(has_name(Image::from_fd("vmlinux", UniqueFd::adopt(fd)).value(), kDriver) == (bytes == &found));

        Mapping mapping = Mapping::anonymous(align_up(bytes->size(), 4096)).value();
        std::memcpy(mapping.data(), bytes->data(), bytes->size());
        const bool is_there =
            has_name(Image::from_mapping("vmlinux", std::move(mapping), bytes->size()), kDriver);
        CHECK(is_there == (bytes == &found));
    }
}
