// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/rewritten_pages.h"

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/guest_pages.h"
#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kTextAt = 0x10000;  // in the file; text is 3 pieces of 64 KiB, the second of them padding
constexpr u64 kDataAt = 0x40000;
constexpr u64 kFileEnd = 0x60000;
constexpr u64 kBase = 0x200000;  // where kTextAt is loaded
constexpr u64 kVirtual = 0xffffffff81000000;

// gABI 4.1 "Sections": flags.
constexpr u64 kWrite = 1;
constexpr u64 kAlloc = 2;
constexpr u64 kExecute = 4;

constexpr Section kText{0, 1, kAlloc | kExecute, kVirtual, kTextAt, kDataAt - kTextAt};
constexpr Section kData{0, 1, kAlloc | kWrite, kVirtual + (kDataAt - kTextAt), kDataAt, kFileEnd - kDataAt};

/// One segment of text and data, no two bytes in a row alike but in the padding.
Bytes vmlinux(const Section& text) {
    Bytes file =
        elf64(kVirtual, {{kLoad, kTextAt, kVirtual, kBase, kFileEnd - kTextAt, kFileEnd - kTextAt, 4096}});
    for (u64 at = file.size(); at < kFileEnd; at++) file.push_back(static_cast<std::byte>(at));
    for (u64 at = 0x20000; at < 0x30000; at++) file[at] = std::byte{0xcc};
    put_section(file, kFileEnd, {});
    put_section(file, kFileEnd + 64, text);
    put_section(file, kFileEnd + 128, kData);
    put_section(file, kFileEnd + 192, {0, 3, 0, 0, kFileEnd, 8});
    put_section_table(file, kFileEnd, 4);
    return file;
}

struct Loaded {
    explicit Loaded(const Bytes& bytes, bool says_linux = true) : file(bytes) {
        UnpackedKernel vmlinux = read_unpacked(file_of(bytes));
        ElfKernel& kernel = vmlinux.elf->value();
        kernel.says_linux = says_linux;
        Occupancy occupancy(ram.memory());
        REQUIRE(load_elf({vmlinux.image, kernel}, 0, ram, occupancy));
    }
    [[nodiscard]] std::string own() const { return own_pages(ram, Gpa{kBase}, kFileEnd - kTextAt); }
    [[nodiscard]] bool is_intact() const {
        Bytes found(kFileEnd - kTextAt);
        if (ram.memory().read(Gpa{kBase}, found) != MemStatus::Ok) return false;
        return std::equal(found.begin(), found.end(), file.begin() + kTextAt);
    }

    Bytes file;
    GuestRam ram = GuestRam::create({.size_bytes = MiB(4), .hole_base = Gpa{GiB(3)}}).value();
};

const std::string kOwn(16, 'o');
const std::string kNot(16, '.');

}  // namespace

TEST_CASE("the text and data of a Linux kernel are copied, padding is not", "[rewritten_pages]") {
    const Loaded loaded(vmlinux(kText));
    CHECK(loaded.own() == kOwn + kNot + kOwn + kOwn + kOwn);
    CHECK(loaded.is_intact());
}

TEST_CASE("pages of a read-only segment are not copied, except text", "[rewritten_pages]") {
    Bytes file = vmlinux(kText);
    put<u32>(file, 64 + 4, 5);  // p_flags: readable, executable
    const Loaded loaded(file);
    CHECK(loaded.own() == kOwn + kNot + kOwn + kNot + kNot);
    CHECK(loaded.is_intact());
}

TEST_CASE("zero-initialised data is not copied", "[rewritten_pages]") {
    Bytes file = vmlinux(kText);
    put<u32>(file, kFileEnd + 128 + 4, 8);  // SHT_NOBITS
    CHECK(Loaded(file).own() == kOwn + kNot + kOwn + kNot + kNot);
}

TEST_CASE("another kernel's text stays mapped", "[rewritten_pages]") {
    const Loaded loaded(vmlinux(kText), false);
    CHECK(loaded.own() == kNot + kNot + kNot + kNot + kNot);
    CHECK(loaded.is_intact());
}

TEST_CASE("wrong sections copy no more than the segment", "[rewritten_pages]") {
    const auto with = [](u64 address, u64 size) {
        Section text = kText;
        text.address = address;
        text.size = size;
        const Loaded loaded(vmlinux(text));
        CHECK(loaded.is_intact());
        return loaded.own();
    };
    const std::string all = kOwn + kNot + kOwn + kOwn + kOwn;
    const std::string none = kNot + kNot + kNot + kOwn + kOwn;  // except the data
    CHECK(with(kVirtual, ~u64{0}) == all);
    CHECK(with(kVirtual, 0) == none);
    CHECK(with(kVirtual - 1, MiB(1)) == none);
    CHECK(with(0, ~u64{0}) == none);
    CHECK(with(~u64{0}, ~u64{0}) == none);
    CHECK(with(kVirtual + kFileEnd - kTextAt, MiB(1)) == none);
    CHECK(with(kVirtual + 1, 1) == "o" + kNot.substr(1) + none.substr(16));
}

TEST_CASE("a kernel without section headers is loaded all the same", "[rewritten_pages]") {
    Bytes file = vmlinux(kText);
    put<u16>(file, 60, 0);
    const Loaded loaded(file);
    CHECK(loaded.own() == kNot + kNot + kNot + kNot + kNot);
    CHECK(loaded.is_intact());
}

TEST_CASE("an initrd of any size is in guest RAM, in pages of its own up to 32 MiB", "[rewritten_pages]") {
    for (const u64 bytes :
         {u64{1}, u64{4095}, u64{4096}, u64{5000}, KiB(64) - 1, KiB(64), KiB(64) + 1, MiB(32), MiB(32) + 1}) {
        CAPTURE(bytes);
        Bytes initrd(bytes, std::byte{0x5a});
        initrd.back() = std::byte{0xa5};
        const Image image = file_of(initrd);
        Guest guest(MiB(128));
        guest.request.initrd = &image;
        REQUIRE(guest.boot(kernel64()));
        const u64 at = guest.value_at<u32>(0x7218);
        CHECK(guest.value_at<u32>(0x721c) == bytes);
        const std::string own = own_pages(guest.ram, Gpa{at}, align_up(bytes, kPageBytes));
        const u64 pages = bytes > MiB(32) ? 1 : own.size();  // the last one's bytes are copied
        CHECK(std::count(own.begin(), own.end(), 'o') == static_cast<std::ptrdiff_t>(pages));
        CHECK(guest.at(at, bytes) == initrd);
    }
}
