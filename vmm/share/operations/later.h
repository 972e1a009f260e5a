// SPDX-License-Identifier: Apache-2.0
// Later: a request that waits for the host's disk without delaying others.
//
// An operation fills this in instead of answering; the server gives the work to the kernel and then calls
// finish().
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
    std::span<iovec> room;  ///< of Read: the rest to fill, guest memory
    u64 offset_bytes = 0;   ///< of Read: where the rest begins
    u64 done_bytes = 0;
    std::optional<FuseReply> reply;  ///< set by the server
    u64 unique = 0;

    /// Notes that so many more bytes were read. \returns whether some are left.
    [[nodiscard]] bool advance(u64 bytes);
    /// \returns how many bytes of the request's room were written. `error`: 0 or -errno, which then is the
    /// answer even after partial reads.
    [[nodiscard]] u32 finish(i32 error);
};

}  // namespace mayfly
