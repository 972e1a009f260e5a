// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/block/block_request.h"

namespace mayfly {

namespace {

BlockRequest& answer(BlockRequest& request, u8 status) {
    request.step = BlockStep::Answer;
    request.status = status;
    return request;
}

bool is_on_disk(const BlockRules& rules, u64 sector, u64 count) {
    return sector <= rules.sector_count && count <= rules.sector_count - sector;
}

/// Host address of the last byte, which is the status wherever the driver cut its descriptors.
void* last_byte(std::span<const iovec> parts) {
    if (parts.empty()) return nullptr;
    return static_cast<std::byte*>(parts.back().iov_base) + (parts.back().iov_len - 1);
}

void parse_transfer(BlockRequest& request, const BlockRules& rules, u64 sector, u64 data_bytes) {
    // virtio 1.2 §5.2.6.1 "Driver Requirements: Device Operation": "The length of data MUST be a multiple of
    // 512 bytes for VIRTIO_BLK_T_IN and VIRTIO_BLK_T_OUT requests", and nothing beyond capacity.
    if (data_bytes % blk::SECTOR_BYTES != 0 || !is_on_disk(rules, sector, data_bytes / blk::SECTOR_BYTES)) {
        answer(request, blk::S_IOERR);
        return;
    }
    if (request.data.size() > kBlockSegmentsMax || data_bytes > kBlockTransferBytesMax) {
        answer(request, blk::S_IOERR);
        return;
    }
    // Zero sectors are a multiple of 512 bytes too: the request succeeds without work.
    if (data_bytes == 0) {
        answer(request, blk::S_OK);
        return;
    }
    request.step = BlockStep::Start;
    request.offset_bytes = sector * blk::SECTOR_BYTES;
    request.size_bytes = data_bytes;
}

void parse_range(BlockRequest& request, const BlockRules& rules, u64 data_bytes) {
    const auto segment = read_from_parts<blk::Segment>(request.data, 0);
    if (data_bytes != kBlockRangesMax * sizeof(blk::Segment) || !segment) {
        answer(request, blk::S_IOERR);
        return;
    }
    request.data = {};
    // virtio 1.2 §5.2.6.2 "Device Requirements: Device Operation": UNSUPP "if any unknown flag is set",
    // and for discard if unmap is. This check precedes that of the range, which such a request may mean
    // differently.
    const u32 flags_known = request.kind == BlockIoKind::WriteZeroes ? blk::FLAG_UNMAP : 0;
    if ((segment->flags & ~flags_known) != 0) {
        answer(request, blk::S_UNSUPP);
        return;
    }
    const u32 sectors_max =
        request.kind == BlockIoKind::WriteZeroes ? kBlockZeroSectorsMax : kBlockRangeSectorsMax;
    if (segment->num_sectors > sectors_max || !is_on_disk(rules, segment->sector, segment->num_sectors)) {
        answer(request, blk::S_IOERR);
        return;
    }
    if (segment->num_sectors == 0) {
        answer(request, blk::S_OK);
        return;
    }
    request.step = BlockStep::Start;
    request.may_unmap = (segment->flags & blk::FLAG_UNMAP) != 0;
    request.offset_bytes = segment->sector * blk::SECTOR_BYTES;
    request.size_bytes = u64{segment->num_sectors} * blk::SECTOR_BYTES;
}

void parse_identify(BlockRequest& request, u64 data_bytes) {
    // virtio 1.2 §5.2.6.1 "Driver Requirements: Device Operation": "The length of data MUST be 20 bytes
    // for VIRTIO_BLK_T_GET_ID requests".
    if (data_bytes != blk::ID_BYTES) {
        answer(request, blk::S_IOERR);
        return;
    }
    request.step = BlockStep::Identify;
    request.size_bytes = data_bytes;
}

/// The request's type without a legacy driver's extra bits and synonyms.
u32 type_of(const blk::RequestHeader& header, const BlockRules& rules) {
    if (!rules.is_legacy) return header.type;
    // virtio 1.2 §5.2.6.3 "Legacy Interface: Device Operation": a barrier counts where F_BARRIER is offered,
    // which it is not; FLUSH_OUT is a synonym.
    const u32 type = header.type & ~blk::T_BARRIER;
    return type == blk::T_FLUSH_OUT ? blk::T_FLUSH : type;
}

}  // namespace

BlockRequest parse_block_request(Chain& chain, const BlockRules& rules) {
    BlockRequest request;
    const auto header = read_from_parts<blk::RequestHeader>(chain.readable, 0);
    request.status_at = last_byte(chain.writable);
    if (!header || request.status_at == nullptr) return request;

    const u64 out_bytes = chain.readable_bytes - sizeof(blk::RequestHeader);
    const u64 in_bytes = chain.writable_bytes - 1;
    switch (type_of(*header, rules)) {
        case blk::T_IN:
            request.data = keep_front(chain.writable, in_bytes);
            parse_transfer(request, rules, header->sector, in_bytes);
            break;
        case blk::T_OUT:
            // virtio 1.2 §5.2.6.2 "Device Requirements: Device Operation": IOERR "for a write request if the
            // VIRTIO_BLK_F_RO feature if offered", accepted or not.
            if (rules.is_read_only) return answer(request, blk::S_IOERR);
            request.kind = BlockIoKind::Write;
            request.data = drop_front(chain.readable, sizeof(blk::RequestHeader));
            parse_transfer(request, rules, header->sector, out_bytes);
            break;
        case blk::T_FLUSH:
            // Served even when F_FLUSH was not accepted: harmless, and legacy drivers do it.
            request.kind = BlockIoKind::Flush;
            request.step = BlockStep::Start;
            break;
        case blk::T_GET_ID:
            request.data = keep_front(chain.writable, in_bytes);
            parse_identify(request, in_bytes);
            break;
        case blk::T_DISCARD:
        case blk::T_WRITE_ZEROES: {
            const bool is_discard = type_of(*header, rules) == blk::T_DISCARD;
            if (is_discard ? !rules.has_discard : !rules.has_write_zeroes)
                return answer(request, blk::S_UNSUPP);
            request.kind = is_discard ? BlockIoKind::Discard : BlockIoKind::WriteZeroes;
            request.data = drop_front(chain.readable, sizeof(blk::RequestHeader));
            parse_range(request, rules, out_bytes);
            break;
        }
        default: return answer(request, blk::S_UNSUPP);
    }
    return request;
}

}  // namespace mayfly
