// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/operations/attributes.h"

#include <algorithm>
#include <ctime>

namespace mayfly {

namespace {

constexpr u64 kNsPerSecond = 1'000'000'000;
constexpr u64 kAutoSeconds = 1;
constexpr u64 kAlwaysSeconds = 86400;

/// As Linux passes device numbers to user space: include/linux/kdev_t.h, new_encode_dev().
u32 device_number(u32 major, u32 minor) { return (minor & 0xffU) | major << 8U | (minor & ~0xffU) << 12U; }

fuse::StatxTime time_of(const struct statx_timestamp& time) {
    return {.tv_sec = time.tv_sec, .tv_nsec = time.tv_nsec, .reserved = 0};
}

/// Times that a guest invents wrap around.
u64 nanoseconds_of(const struct statx_timestamp& time) {
    return static_cast<u64>(time.tv_sec) * kNsPerSecond + time.tv_nsec;
}

}  // namespace

u64 AttributeView::seconds_of(ShareCache cache) {
    switch (cache) {
        case ShareCache::Auto: return kAutoSeconds;
        case ShareCache::Always: return kAlwaysSeconds;
        case ShareCache::Never: break;
    }
    return 0;
}

fuse_attr AttributeView::attr_of(const host::Attributes& attributes) const {
    return {.ino = attributes.stx_ino,
            .size = attributes.stx_size,
            .blocks = attributes.stx_blocks,
            .atime = static_cast<u64>(attributes.stx_atime.tv_sec),
            .mtime = static_cast<u64>(attributes.stx_mtime.tv_sec),
            .ctime = static_cast<u64>(attributes.stx_ctime.tv_sec),
            .atimensec = attributes.stx_atime.tv_nsec,
            .mtimensec = attributes.stx_mtime.tv_nsec,
            .ctimensec = attributes.stx_ctime.tv_nsec,
            .mode = attributes.stx_mode,
            .nlink = attributes.stx_nlink,
            .uid = owner_ ? owner_->uid : attributes.stx_uid,
            .gid = owner_ ? owner_->gid : attributes.stx_gid,
            .rdev = device_number(attributes.stx_rdev_major, attributes.stx_rdev_minor),
            .blksize = attributes.stx_blksize,
            .flags = 0};
}

fuse_attr_out AttributeView::attr_out_of(const host::Attributes& attributes) const {
    return {.attr_valid = seconds_, .attr_valid_nsec = 0, .dummy = 0, .attr = attr_of(attributes)};
}

fuse_entry_out AttributeView::entry_of(const host::Attributes& attributes) const {
    return {.nodeid = 0,
            .generation = 0,
            .entry_valid = seconds_,
            .attr_valid = seconds_,
            .entry_valid_nsec = 0,
            .attr_valid_nsec = 0,
            .attr = attr_of(attributes)};
}

bool AttributeView::may_keep(ContentsMark& mark, int fd) const {
    // Files' times are those of the kernel's last tick.
    constexpr u64 kSettledNs = 20'000'000;
    host::Attributes attributes{};
    timespec now{};
    if (host::attributes_of(fd, attributes) < 0 || ::clock_gettime(CLOCK_REALTIME, &now) < 0) return false;
    ContentsMark found{.modified_ns = nanoseconds_of(attributes.stx_mtime),
                       .changed_ns = nanoseconds_of(attributes.stx_ctime),
                       .size_bytes = attributes.stx_size};
    const u64 now_ns = static_cast<u64>(now.tv_sec) * kNsPerSecond + static_cast<u64>(now.tv_nsec);
    const u64 latest_ns = std::max(found.modified_ns, found.changed_ns);
    found.is_settled = latest_ns < now_ns && now_ns - latest_ns > kSettledNs;
    const bool is_kept = seconds_ == kAlwaysSeconds || (mark.is_settled && mark == found);
    mark = found;
    return is_kept;
}

fuse::StatxOut AttributeView::statx_of(const host::Attributes& attributes) const {
    fuse::StatxOut out{};
    out.attr_valid = seconds_;
    fuse::Statx& stat = out.stat;
    stat.mask = attributes.stx_mask & (STATX_BASIC_STATS | STATX_BTIME);
    stat.blksize = attributes.stx_blksize;
    stat.attributes = attributes.stx_attributes;
    stat.attributes_mask = attributes.stx_attributes_mask;
    stat.nlink = attributes.stx_nlink;
    stat.uid = owner_ ? owner_->uid : attributes.stx_uid;
    stat.gid = owner_ ? owner_->gid : attributes.stx_gid;
    stat.mode = attributes.stx_mode;
    stat.ino = attributes.stx_ino;
    stat.size = attributes.stx_size;
    stat.blocks = attributes.stx_blocks;
    stat.atime = time_of(attributes.stx_atime);
    stat.btime = time_of(attributes.stx_btime);
    stat.ctime = time_of(attributes.stx_ctime);
    stat.mtime = time_of(attributes.stx_mtime);
    stat.rdev_major = attributes.stx_rdev_major;
    stat.rdev_minor = attributes.stx_rdev_minor;
    stat.dev_major = attributes.stx_dev_major;
    stat.dev_minor = attributes.stx_dev_minor;
    return out;
}

}  // namespace mayfly
