// SPDX-License-Identifier: Apache-2.0
// Later: a request that waits for the host's disk, and shall not have others wait with it.
//
// An operation fills it in instead of answering; whoever serves has the kernel do it and then calls finish().
// Thread: the share's.
#pragma once

#include <optional>

#include "vmm/os/unique_fd.h"
#include "vmm/share/protocol/fuse_reply.h"

namespace mayfly {

struct Later {
    enum class Kind : u8 { Read, Sync, SyncData };

    Kind kind = Kind::Read;
    UniqueFd fd;            ///< its own: the guest may close its file meanwhile
    std::span<iovec> room;  ///< of Read: what is left to fill, guest memory
    u64 offset_bytes = 0;   ///< of Read: of what is left
    u64 done_bytes = 0;
    std::optional<FuseReply> reply;  ///< whoever serves puts it here
    u64 unique = 0;

    /// So many bytes more were read. \returns whether some are left.
    [[nodiscard]] bool advance(u64 bytes);
    /// \returns how many bytes of the request's room were written. `error`: 0 or -errno, which is the answer
    /// whatever was read before.
    [[nodiscard]] u32 finish(i32 error);
};

}  // namespace mayfly
