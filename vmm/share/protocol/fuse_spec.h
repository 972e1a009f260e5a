// SPDX-License-Identifier: Apache-2.0
// The parts of the FUSE protocol that the oldest supported linux/fuse.h lacks, by the protocol's names.
//
// Spec: Linux include/uapi/linux/fuse.h, 7.39 to 7.41.
#pragma once

#include <linux/fuse.h>

#include "vmm/error/ints.h"

namespace mayfly::fuse {

inline constexpr u32 STATX = 52;
inline constexpr u64 DIRECT_IO_ALLOW_MMAP = u64{1} << 36U;

struct StatxIn {
    u32 getattr_flags;
    u32 reserved;
    u64 fh;
    u32 sx_flags;
    u32 sx_mask;
};

struct StatxTime {
    i64 tv_sec;
    u32 tv_nsec;
    i32 reserved;
};

struct Statx {
    u32 mask;
    u32 blksize;
    u64 attributes;
    u32 nlink;
    u32 uid;
    u32 gid;
    u16 mode;
    u16 spare0;
    u64 ino;
    u64 size;
    u64 blocks;
    u64 attributes_mask;
    StatxTime atime;
    StatxTime btime;
    StatxTime ctime;
    StatxTime mtime;
    u32 rdev_major;
    u32 rdev_minor;
    u32 dev_major;
    u32 dev_minor;
    u64 spare2[14];  // NOLINT(*-avoid-c-arrays): as the kernel has it
};

struct StatxOut {
    u64 attr_valid;
    u32 attr_valid_nsec;
    u32 flags;
    u64 spare[2];  // NOLINT(*-avoid-c-arrays)
    Statx stat;
};
static_assert(sizeof(Statx) == 256 && sizeof(StatxOut) == 288);

}  // namespace mayfly::fuse
