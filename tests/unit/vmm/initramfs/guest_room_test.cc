// SPDX-License-Identifier: Apache-2.0
// Whether Linux has room for an unpacked initramfs, and how much memory would suffice.
#include "vmm/initramfs/archive/guest_room.h"

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr GuestRoom kTmpfs{.memory_bytes = MiB(512), .kernel_bytes = MiB(56), .is_tmpfs = true};
constexpr GuestRoom kRamfs{.memory_bytes = MiB(512), .kernel_bytes = MiB(56), .is_tmpfs = false};

/// Files of `each_bytes` that take `archive_bytes` in all beside their headers.
TreeBytes files(u64 count, u64 each_bytes) {
    TreeBytes tree;
    for (u64 i = 0; i < count; ++i) tree.add(128 + each_bytes, each_bytes);
    return tree;
}

}  // namespace

TEST_CASE("each file takes whole pages, an empty one none") {
    TreeBytes tree;
    tree.add(100, 1);
    tree.add(200, 4096);
    tree.add(300, 4097);
    tree.add(400, 0);
    CHECK(tree.archive == 1000);
    CHECK(tree.blocks == 4 * 4096);
    CHECK(tree.inodes == 4);
    CHECK(tree.unpacked() == 4 * 4096 + 4 * 1024);
}

TEST_CASE("a tmpfs has half of the memory that the kernel, its map of pages and the archive leave") {
    // 512 - 8 - 56 = 448
    CHECK(room_for_blocks(kTmpfs, 0) == MiB(224));
    CHECK(room_for_blocks(kTmpfs, MiB(48)) == MiB(200));
    CHECK(room_for_blocks(kRamfs, MiB(48)) == MiB(400));
    CHECK(room_for_blocks(kTmpfs, GiB(1)) == 0);
    CHECK(room_for_blocks({.memory_bytes = MiB(32), .kernel_bytes = MiB(64), .is_tmpfs = true}, 0) == 0);
}

TEST_CASE("only a tree that cannot fit is refused, with the memory that would suffice") {
    // 3 * 149 = 447 of 448: an archive, and files of the same size in half of the rest.
    const TreeBytes good{.archive = MiB(149), .blocks = MiB(149), .inodes = 100};
    CHECK_FALSE(why_too_large(kTmpfs, good).has_value());
    const TreeBytes bad{.archive = MiB(150), .blocks = MiB(150), .inodes = 100};
    CHECK(why_too_large(kTmpfs, bad)->message() ==
          "the initramfs takes 150 MiB, and unpacked 151 MiB more, for which Linux has room for 149 MiB of "
          "--memory 512 MiB: half of what it does not need itself (--memory 576M would do, or a smaller "
          "--root)");
    // As a ramfs it may.
    CHECK_FALSE(why_too_large(kRamfs, bad).has_value());
    const TreeBytes large{.archive = MiB(230), .blocks = MiB(230), .inodes = 100};
    CHECK(why_too_large(kRamfs, large)->message() ==
          "the initramfs takes 230 MiB, and unpacked 231 MiB more, for which Linux has room for 218 MiB of "
          "--memory 512 MiB (--memory 640M would do, or a smaller --root)");
    const TreeBytes archive{.archive = MiB(600), .blocks = MiB(600), .inodes = 1};
    CHECK(
        why_too_large(kTmpfs, archive)->message() ==
        "the initramfs takes 600 MiB, the guest's memory has room for 512 MiB (--memory 1984M would do, or a "
        "smaller --root)");
}

TEST_CASE("many files without content are too many for a tmpfs, which has an inode for each of its pages") {
    // 57,344 pages are 224 MiB.
    CHECK_FALSE(why_too_large(kTmpfs, {.archive = 0, .blocks = 0, .inodes = 57'344}).has_value());
    CHECK(why_too_large(kTmpfs, {.archive = 0, .blocks = 0, .inodes = 57'345}).has_value());
    CHECK_FALSE(why_too_large(kRamfs, {.archive = 0, .blocks = 0, .inodes = 400'000}).has_value());
    CHECK(why_too_large(kRamfs, {.archive = 0, .blocks = 0, .inodes = 500'000}).has_value());
}

TEST_CASE("the suggested memory has ample room") {
    for (const bool is_tmpfs : {false, true}) {
        for (const auto& tree :
             {files(10, MiB(40)), files(100'000, 1), files(30'000, KiB(60)), files(3, GiB(3))}) {
            GuestRoom room{.memory_bytes = MiB(128), .kernel_bytes = MiB(64), .is_tmpfs = is_tmpfs};
            const u64 memory = memory_for(room, tree);
            CHECK(memory % MiB(64) == 0);
            room.memory_bytes = memory;
            CHECK_FALSE(why_too_large(room, tree).has_value());
            room.memory_bytes = memory - MiB(40);
            CHECK_FALSE(why_too_large(room, tree).has_value());
        }
    }
}

TEST_CASE("a root that its guest could not unpack is refused, large ones before they are packed") {
    const ScratchTree root;
    root.file("bin/true", elf_program(), 0755);
    root.sparse("file", MiB(11));
    InitramfsRequest request = request_for("/bin/true", root.path());
    u64 asked = 0;
    request.find_room = [&asked] {
        ++asked;
        return GuestRoom{.memory_bytes = MiB(64), .kernel_bytes = MiB(32), .is_tmpfs = true};
    };
    CHECK(refusal(request) ==
          "the initramfs takes 12 MiB, and unpacked 12 MiB more, for which Linux has room for 9 MiB of "
          "--memory 64 MiB: half of what it does not need itself (--memory 128M would do, or a smaller "
          "--root)");
    CHECK(asked == 1);
    // Only an archive of more than an eighth of the memory is checked.
    request.bytes_max = MiB(128);
    CHECK(pack_initramfs(request).has_value());
    CHECK(asked == 1);
    // A forecast looks at the whole tree when the first file is added.
    for (int i = 0; i < 20; ++i) root.sparse("huge" + std::to_string(i), MiB(100));
    // Without the forecast, this file would be the one that is refused.
    root.sparse("zz", GiB(4));
    request.bytes_max = GiB(32);
    request.find_room = [] {
        return GuestRoom{.memory_bytes = GiB(8), .kernel_bytes = MiB(32), .is_tmpfs = true};
    };
    CHECK_THAT(refusal(request),
               Catch::Matchers::StartsWith("the initramfs takes 6108 MiB, and unpacked 6108 MiB more"));
}
