// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/archive/guest_room.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/text/size.h"

namespace mayfly {

namespace {

/// Linux has a struct page of 64 bytes for each.
constexpr u64 kPagesPerMapPage = 64;
/// An inode of tmpfs and its name: struct shmem_inode_info and struct dentry, as slabs hold them.
constexpr u64 kInodeBytes = KiB(1);
constexpr u64 kMemoryStep = MiB(64);

/// Above the lower bounds, as measured with Debian's kernels on 1 to 64 processors: hash tables and
/// per-processor areas before the root is mounted, and their allocations until init runs.
constexpr u64 kKernelMore = MiB(48);
constexpr u64 kMemoryPerTable = 32;

u64 less(u64 from, u64 what) { return from - std::min(from, what); }

/// The number that the limit bounds: as many inodes as pages are too many as well.
u64 tmpfs_bytes(const TreeBytes& tree) { return std::max(tree.blocks, tree.inodes * kPageBytes); }

u64 in_mebibytes(u64 bytes) { return (bytes + MiB(1) - 1) / MiB(1); }

}  // namespace

void TreeBytes::add(u64 entry_bytes, u64 content_bytes) {
    archive += entry_bytes;
    blocks += align_up(content_bytes, kPageBytes);
    ++inodes;
}

u64 TreeBytes::unpacked() const { return blocks + inodes * kInodeBytes; }

u64 room_for_blocks(const GuestRoom& room, u64 archive_bytes) {
    // The archive is not counted as memory yet when the limit is taken.
    const u64 left = less(less(room.memory_bytes - room.memory_bytes / kPagesPerMapPage, room.kernel_bytes),
                          archive_bytes);
    return room.is_tmpfs ? left / 2 : left;
}

u64 memory_for(const GuestRoom& room, const TreeBytes& tree) {
    const u64 root = room.is_tmpfs ? std::max(2 * tmpfs_bytes(tree), tree.unpacked()) : tree.unpacked();
    const u64 bytes = room.kernel_bytes + kKernelMore + tree.archive + root;
    // A part of the guest's whole memory, not known yet, goes to tables.
    return align_up(bytes + bytes / (kMemoryPerTable - 1), kMemoryStep);
}

std::optional<Error> why_too_large(const GuestRoom& room, const TreeBytes& tree) {
    const u64 blocks = room_for_blocks(room, tree.archive);
    const u64 memory = room_for_blocks({room.memory_bytes, room.kernel_bytes, false}, tree.archive);
    if ((!room.is_tmpfs || tmpfs_bytes(tree) <= blocks) && tree.unpacked() <= memory) return std::nullopt;
    const u64 needed = memory_for(room, tree);
    const bool is_archive = tree.archive > room.memory_bytes;
    return Error::invalid(
               is_archive
                   ? fmt::format("the initramfs takes {} MiB, the guest's memory has room for {}",
                                 in_mebibytes(tree.archive), print_size(room.memory_bytes))
                   : fmt::format(
                         "the initramfs takes {} MiB, and unpacked {} MiB more, for which Linux has room "
                         "for {} MiB of --memory {}{}",
                         in_mebibytes(tree.archive), in_mebibytes(tree.unpacked()), blocks / MiB(1),
                         print_size(room.memory_bytes),
                         room.is_tmpfs ? ": half of what it does not need itself" : ""))
        .hint(fmt::format("--memory {}M would do, or a smaller --root", needed / MiB(1)));
}

}  // namespace mayfly
