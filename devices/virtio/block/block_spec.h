// SPDX-License-Identifier: Apache-2.0
// The block device by the specification's names: feature bits, configuration, requests.
//
// Spec: virtio 1.2 §5.2 "Block Device".
#pragma once

#include <cstddef>

#include "vmm/error/ints.h"
#include "vmm/memory/wire.h"

namespace mayfly::blk {

// §5.2.3 "Feature bits", as masks
constexpr u64 F_SIZE_MAX = u64{1} << 1;
constexpr u64 F_SEG_MAX = u64{1} << 2;
constexpr u64 F_RO = u64{1} << 5;
constexpr u64 F_BLK_SIZE = u64{1} << 6;
constexpr u64 F_FLUSH = u64{1} << 9;
constexpr u64 F_TOPOLOGY = u64{1} << 10;
constexpr u64 F_CONFIG_WCE = u64{1} << 11;
constexpr u64 F_MQ = u64{1} << 12;
constexpr u64 F_DISCARD = u64{1} << 13;
constexpr u64 F_WRITE_ZEROES = u64{1} << 14;

// §5.2.6 "Device Operation": the field `type`
constexpr u32 T_IN = 0;
constexpr u32 T_OUT = 1;
constexpr u32 T_FLUSH = 4;
constexpr u32 T_GET_ID = 8;
constexpr u32 T_DISCARD = 11;
constexpr u32 T_WRITE_ZEROES = 13;

// §5.2.6.3 "Legacy Interface: Device Operation"
constexpr u32 T_FLUSH_OUT = 5;
constexpr u32 T_BARRIER = 0x8000'0000;

// §5.2.6 "Device Operation": the field `status`
constexpr u8 S_OK = 0;
constexpr u8 S_IOERR = 1;
constexpr u8 S_UNSUPP = 2;

/// The unit of `sector`, independent of blk_size.
constexpr u64 SECTOR_BYTES = 512;
constexpr u64 ID_BYTES = 20;
/// Of virtio_blk_discard_write_zeroes.flags
constexpr u32 FLAG_UNMAP = 1;

/// What every request begins with.
struct RequestHeader {
    u32 type;
    u32 reserved;
    u64 sector;
};
static_assert(sizeof(RequestHeader) == 16 && WireType<RequestHeader>);

/// struct virtio_blk_discard_write_zeroes
struct Segment {
    u64 sector;
    u32 num_sectors;
    u32 flags;
};
static_assert(sizeof(Segment) == 16 && WireType<Segment>);

/// §5.2.4 "Device configuration layout": struct virtio_blk_config
struct Config {
    u64 capacity;
    u32 size_max;
    u32 seg_max;
    u16 geometry_cylinders;
    u8 geometry_heads;
    u8 geometry_sectors;
    u32 blk_size;
    u8 physical_block_exp;
    u8 alignment_offset;
    u16 min_io_size;
    u32 opt_io_size;
    u8 writeback;
    u8 unused0;
    u16 num_queues;
    u32 max_discard_sectors;
    u32 max_discard_seg;
    u32 discard_sector_alignment;
    u32 max_write_zeroes_sectors;
    u32 max_write_zeroes_seg;
    u8 write_zeroes_may_unmap;
    u8 unused1[3];
    u32 max_secure_erase_sectors;
    u32 max_secure_erase_seg;
    u32 secure_erase_sector_alignment;
};
static_assert(sizeof(Config) == 72 && WireType<Config>);
static_assert(offsetof(Config, writeback) == 32 && offsetof(Config, write_zeroes_may_unmap) == 56);

}  // namespace mayfly::blk
