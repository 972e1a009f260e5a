// SPDX-License-Identifier: Apache-2.0
// A disk in a vector that answers at once, later or with an error, and checks its requests.
#pragma once

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "devices/virtio/block/block_backend.h"

namespace mayfly {

class FakeBlockBackend final : public BlockBackend {
  public:
    struct Seen {
        BlockIoKind kind;
        bool is_write_through;
        bool may_unmap;
        u64 offset_bytes;
        u64 size_bytes;
        std::size_t part_count;

        friend bool operator==(const Seen&, const Seen&) = default;
    };

    explicit FakeBlockBackend(BlockGeometry geometry = {.size_bytes = 64 * 512})
        : bytes(geometry.size_bytes), geometry_(geometry) {
        seen.reserve(kSeenMax);
        pending.reserve(kSeenMax);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i / 512 + 1);
    }

    [[nodiscard]] BlockGeometry geometry() const override { return geometry_; }

    [[nodiscard]] std::optional<i32> start(BlockIo& io) override {
        check(io);
        if (seen.size() < kSeenMax)
            seen.push_back({io.kind, io.is_write_through, io.may_unmap, io.offset_bytes, io.size_bytes,
                            io.parts.size()});
        if (!is_deferring) return perform(io, result);
        pending.push_back(&io);
        return std::nullopt;
    }

    void cancel_all() override { ++cancel_count; }

    /// Ends the pending operation `index` as an I/O thread does.
    void finish(std::size_t index, i32 with = 0) {
        BlockIo& io = *pending.at(index);
        pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(index));
        io.client->on_block_io_done(io, perform(io, with));
    }
    void finish_all(i32 with = 0) {
        while (!pending.empty()) finish(0, with);
    }

    static constexpr std::size_t kSeenMax = 4096;
    bool is_deferring = false;
    i32 result = 0;  ///< of operations that are not deferred
    u32 cancel_count = 0;
    std::vector<std::byte> bytes;
    std::vector<Seen> seen;
    std::vector<BlockIo*> pending;

  private:
    static void require(bool good) {
        if (!good) std::abort();
    }

    void check(const BlockIo& io) const {
        require(io.client != nullptr);
        u64 parts_bytes = 0;
        for (const iovec& part : io.parts) parts_bytes += part.iov_len;
        if (io.kind == BlockIoKind::Read || io.kind == BlockIoKind::Write)
            require(parts_bytes == io.size_bytes && !io.parts.empty() && io.parts.size() <= 126);
        else
            require(io.parts.empty());
        if (io.kind != BlockIoKind::Flush) {
            require(io.size_bytes > 0 && io.size_bytes % 512 == 0 && io.offset_bytes % 512 == 0);
            require(io.offset_bytes <= bytes.size() && io.size_bytes <= bytes.size() - io.offset_bytes);
        }
        if (geometry_.is_read_only) require(io.kind == BlockIoKind::Read || io.kind == BlockIoKind::Flush);
    }

    i32 perform(const BlockIo& io, i32 with) {
        if (with != 0) return with;
        std::byte* at = bytes.data() + io.offset_bytes;
        for (const iovec& part : io.parts) {
            if (io.kind == BlockIoKind::Read) std::memcpy(part.iov_base, at, part.iov_len);
            if (io.kind == BlockIoKind::Write) std::memcpy(at, part.iov_base, part.iov_len);
            at += part.iov_len;
        }
        if (io.kind == BlockIoKind::WriteZeroes || io.kind == BlockIoKind::Discard)
            std::memset(bytes.data() + io.offset_bytes, 0, io.size_bytes);
        return 0;
    }

    BlockGeometry geometry_;
};

}  // namespace mayfly
