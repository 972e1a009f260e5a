// SPDX-License-Identifier: Apache-2.0
// FuseRequest: a guest's request, read once out of memory that the guest may change meanwhile. Only the data
// of a WRITE stay in place, for the kernel to read.
//
// Thread: a value; its storage has one user at a time. Spec: Linux include/uapi/linux/fuse.h.
#pragma once

#include <array>
#include <cstring>
#include <optional>
#include <span>

#include <sys/uio.h>

#include "vmm/error/ints.h"
#include "vmm/memory/wire.h"
#include "vmm/share/protocol/fuse_spec.h"

namespace mayfly {

class FuseRequest {
  public:
    /// The largest: an extended attribute with its name.
    static constexpr std::size_t kBytesMax = KiB(64) + KiB(4);
    using Storage = std::array<std::byte, kBytesMax>;

    /// Empty without a header. `parts` are cut to a WRITE's data.
    [[nodiscard]] static std::optional<FuseRequest> read(std::span<iovec> parts, Storage& storage);

    [[nodiscard]] const fuse_in_header& header() const { return header_; }
    /// Whether it is too long, or claims to be longer than it is.
    [[nodiscard]] bool is_malformed() const { return is_malformed_; }
    /// Of a WRITE: guest memory.
    [[nodiscard]] std::span<iovec> data() const { return data_; }

    /// The next structure; empty where the request ends before.
    template <WireType T>
    [[nodiscard]] std::optional<T> take() {
        return take_part<T>(sizeof(T));
    }
    /// For a structure that older drivers send shorter: the rest is zero.
    template <WireType T>
    [[nodiscard]] std::optional<T> take_part(std::size_t bytes) {
        if (rest_.size() < bytes) return std::nullopt;
        T value{};
        std::memcpy(&value, rest_.data(), bytes);
        rest_ = rest_.subspan(bytes);
        return value;
    }
    /// The next string, with its terminator; null where none is left.
    [[nodiscard]] const char* take_text();
    /// The same, as a single name in a directory: not empty, not a path.
    [[nodiscard]] const char* take_name();
    [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

  private:
    fuse_in_header header_{};
    bool is_malformed_ = false;
    std::span<const std::byte> rest_;
    std::span<iovec> data_;
};

}  // namespace mayfly
