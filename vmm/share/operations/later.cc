// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/operations/later.h"

#include "devices/virtio/queue/chain.h"

namespace mayfly {

bool Later::advance(u64 bytes) {
    room = drop_front(room, bytes);
    offset_bytes += bytes;
    done_bytes += bytes;
    return !room.empty();
}

u32 Later::finish(i32 error) {
    reply->set_data(done_bytes);
    const u32 written = reply->finish(unique, error);
    reply.reset();
    fd = UniqueFd();
    done_bytes = 0;
    return written;
}

}  // namespace mayfly
