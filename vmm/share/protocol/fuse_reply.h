// SPDX-License-Identifier: Apache-2.0
// FuseReply: an answer, built in our memory and copied into the guest's once; file content goes there
// directly.
//
// Thread: as FuseRequest. Spec: Linux include/uapi/linux/fuse.h.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"
#include "vmm/memory/wire.h"
#include "vmm/share/protocol/fuse_spec.h"

namespace mayfly {

class FuseReply {
  public:
    /// The largest: a list of extended attributes, or a directory's entries.
    static constexpr std::size_t kBytesMax = KiB(128);
    using Storage = std::array<std::byte, kBytesMax>;

    FuseReply(std::span<iovec> room, Storage& storage) : room_(room), storage_(storage) {
        for (const iovec& part : room) room_bytes_ += part.iov_len;
    }

    /// The part after the header.
    [[nodiscard]] std::size_t room_bytes() const {
        return room_bytes_ < sizeof(fuse_out_header)
                   ? 0
                   : static_cast<std::size_t>(room_bytes_ - sizeof(fuse_out_header));
    }

    template <WireType T>
    void put(const T& value) {
        // Structures of fixed sizes, a few of them.
        std::memcpy(space(sizeof value).data(), &value, sizeof value);
        used_ += sizeof value;
    }
    /// At most so much of the free room; used() takes from its beginning.
    [[nodiscard]] std::span<std::byte> space(std::size_t bytes) {
        return std::span(storage_).subspan(used_).first(std::min(bytes, storage_.size() - used_));
    }
    void used(std::size_t bytes) { used_ += bytes; }
    [[nodiscard]] std::size_t used_bytes() const { return used_; }
    /// Nothing was put.
    void clear() { used_ = 0; }

    /// At most so many bytes of guest memory after the header; replaces the parts that were put.
    [[nodiscard]] std::span<iovec> data_room(u64 bytes);
    void set_data(u64 bytes) { data_bytes_ = bytes; }

    /// Copies the answer into the room. `error`: 0 or -errno. \returns its size in bytes; 0 where not even a
    /// header fits.
    [[nodiscard]] u32 finish(u64 unique, i32 error);

  private:
    std::span<iovec> room_;
    Storage& storage_;
    u64 room_bytes_ = 0;
    std::size_t used_ = 0;
    u64 data_bytes_ = 0;
    std::array<iovec, sizeof(fuse_out_header)> head_{};  // where the header goes, once the parts are cut
    std::size_t head_parts_ = 0;
};

}  // namespace mayfly
