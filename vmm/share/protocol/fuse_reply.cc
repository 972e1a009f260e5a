// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/protocol/fuse_reply.h"

#include <cerrno>

#include "devices/virtio/queue/chain.h"

namespace mayfly {

std::span<iovec> FuseReply::data_room(u64 bytes) {
    u64 left = sizeof(fuse_out_header);
    for (const iovec& part : room_) {
        if (left == 0) break;
        iovec& piece = head_[head_parts_++];
        piece = {.iov_base = part.iov_base, .iov_len = std::min<std::size_t>(part.iov_len, left)};
        left -= piece.iov_len;
    }
    return keep_front(drop_front(room_, sizeof(fuse_out_header)), std::min<u64>(bytes, room_bytes()));
}

u32 FuseReply::finish(u64 unique, i32 error) {
    if (room_bytes_ < sizeof(fuse_out_header)) return 0;
    std::size_t body = error == 0 ? used_ : 0;
    if (body > room_bytes()) {
        // The driver gave too little room for the answer.
        error = -EIO;
        body = 0;
    }
    const u64 data = error == 0 ? data_bytes_ : 0;
    const fuse_out_header header{
        .len = static_cast<u32>(sizeof(fuse_out_header) + body + data), .error = error, .unique = unique};
    const std::span<const iovec> room = head_parts_ != 0 ? std::span(head_).first(head_parts_) : room_;
    (void)copy_to_parts(room, 0, std::as_bytes(std::span(&header, 1)));
    if (body != 0) (void)copy_to_parts(room, sizeof header, std::span(storage_).first(body));
    return header.len;
}

}  // namespace mayfly
