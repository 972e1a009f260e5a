// SPDX-License-Identifier: Apache-2.0
// FuseRequest: what the guest asks, read once out of memory that it may change meanwhile. Only the data of a
// WRITE stay where they are, for the kernel to take.
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

    /// Nothing where there is no header. `parts` are cut to a WRITE's data.
    [[nodiscard]] static std::optional<FuseRequest> read(std::span<iovec> parts, Storage& storage);

    [[nodiscard]] const fuse_in_header& header() const { return header_; }
    /// It is longer than anything can be, or says to be longer than it is.
    [[nodiscard]] bool is_malformed() const { return is_malformed_; }
    /// Of a WRITE: guest memory.
    [[nodiscard]] std::span<iovec> data() const { return data_; }

    /// The next structure; nothing where it ends before.
    template <WireType T>
    [[nodiscard]] std::optional<T> take() {
        return take_part<T>(sizeof(T));
    }
    /// Of one that was shorter once: the rest is zero.
    template <WireType T>
    [[nodiscard]] std::optional<T> take_part(std::size_t bytes) {
        if (rest_.size() < bytes) return std::nullopt;
        T value{};
        std::memcpy(&value, rest_.data(), bytes);
        rest_ = rest_.subspan(bytes);
        return value;
    }
    /// The next string, with its terminator; null where there is none.
    [[nodiscard]] const char* take_text();
    /// The same as one name in a directory: not empty, no path.
    [[nodiscard]] const char* take_name();
    [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

  private:
    fuse_in_header header_{};
    bool is_malformed_ = false;
    std::span<const std::byte> rest_;
    std::span<iovec> data_;
};

}  // namespace mayfly
