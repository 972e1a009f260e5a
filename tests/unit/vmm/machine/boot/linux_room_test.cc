// SPDX-License-Identifier: Apache-2.0
// The memory that a Linux kernel leaves free, and the file system of its root.
#include "vmm/machine/boot/linux_room.h"

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kBase = 0xffff'ffff'8100'0000;
constexpr u32 kConstants = 1;
constexpr u32 kOther = 9;
constexpr std::string_view kNames{"\0.rodata\0.other\0.shstrtab\0", 26};
constexpr u64 kAlloc = 2;
constexpr u32 kContent = 1;
constexpr u32 kNoBits = 8;

struct Kernel {
    std::string_view constants{"\0nr_blocks\0", 11};
    std::vector<Section> more{
        {kOther, kNoBits, kAlloc, kBase + MiB(40), 0, MiB(4)},   // .bss
        {kOther, kNoBits, kAlloc, kBase + MiB(44), 0, KiB(64)},  // .brk
        {kOther, kNoBits, kAlloc, kBase + MiB(48), 0, MiB(4)},   // .init.scratch
        {kOther, kContent, kAlloc, 0, 0, KiB(200)},              // .data..percpu
        {kOther, kContent, 0, 0, 0, 100},                        // .comment
    };

    [[nodiscard]] GuestRoom room(std::string_view words = "console=hvc0", bool has_sections = true) const {
        Bytes file = elf64(0x100000, {{kLoad, 0, 0, 0x100000, 0, 0x1000, 0}});
        file.resize(0x1000);
        put_text(file, 0x1000, constants);
        const std::size_t names_at = file.size();
        put_text(file, names_at, kNames);
        const std::size_t headers_at = align_up(file.size(), 8);
        std::size_t at = headers_at;
        const auto add = [&](const Section& section) {
            put_section(file, at, section);
            at += 64;
        };
        add({});
        add({kConstants, kContent, kAlloc, kBase, 0x1000, constants.size()});
        for (const Section& section : more) add(section);
        add({16, 3, 0, 0, names_at, kNames.size()});
        if (has_sections) put_section_table(file, headers_at, static_cast<u16>((at - headers_at) / 64));
        const UnpackedKernel kernel = read_unpacked(Image::from_bytes("vmlinux", file));
        const ElfKernel* elf = good_elf(kernel.elf);
        REQUIRE(elf != nullptr);
        return linux_room(ElfImage{kernel.image, *elf}, words, MiB(256));
    }
};

}  // namespace

TEST_CASE("the kernel occupies the range from its start to the end of .bss") {
    const GuestRoom room = Kernel().room();
    CHECK(room.memory_bytes == MiB(256));
    CHECK(room.kernel_bytes == MiB(44));
    CHECK(room.is_tmpfs);
}

TEST_CASE("the root is a tmpfs of half the memory by default only") {
    const Kernel kernel;
    for (const char* words : {"root=/dev/vda", "a rootfstype=tmpfs", "initramfs_options=size=90%"})
        CHECK_FALSE(kernel.room(words).is_tmpfs);
    for (const char* words : {"", "rootwait", "-- root=/dev/vda"}) CHECK(kernel.room(words).is_tmpfs);
    // A kernel without CONFIG_TMPFS.
    Kernel without;
    without.constants = {"\0nr_block\0", 10};
    CHECK_FALSE(without.room().is_tmpfs);
    CHECK(without.room().kernel_bytes == MiB(44));
}

TEST_CASE("a kernel of unknown size counts as 0") {
    for (const GuestRoom& room : {Kernel().room("", false), linux_room(std::nullopt, "", MiB(256))}) {
        CHECK(room.memory_bytes == MiB(256));
        CHECK(room.kernel_bytes == 0);
        CHECK_FALSE(room.is_tmpfs);
    }
    Kernel liar;
    for (const u64 size : {MiB(1100), GiB(2), ~u64{0} - MiB(41)}) {
        liar.more[0].size = size;
        CHECK(liar.room().kernel_bytes == 0);
    }
}
