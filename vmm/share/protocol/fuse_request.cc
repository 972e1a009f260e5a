// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/protocol/fuse_request.h"

#include <algorithm>

#include "devices/virtio/queue/chain.h"

namespace mayfly {

std::optional<FuseRequest> FuseRequest::read(std::span<iovec> parts, Storage& storage) {
    const std::optional<fuse_in_header> header = read_from_parts<fuse_in_header>(parts, 0);
    if (!header) return std::nullopt;
    FuseRequest request;
    request.header_ = *header;
    u64 there = 0;
    for (const iovec& part : parts) there += part.iov_len;
    request.is_malformed_ = header->len < sizeof *header || header->len > there;
    if (request.is_malformed_) return request;
    u64 bytes = header->len - sizeof *header;
    if (header->opcode == FUSE_WRITE) {
        const u64 arguments = std::min(bytes, u64{sizeof(fuse_write_in)});
        const u64 data_bytes = bytes - arguments;
        bytes = arguments;
        (void)copy_from_parts(parts, sizeof *header, std::span(storage).first(bytes));
        request.data_ = keep_front(drop_front(parts, sizeof *header + bytes), data_bytes);
    } else {
        request.is_malformed_ = bytes > storage.size();
        if (request.is_malformed_) return request;
        (void)copy_from_parts(parts, sizeof *header, std::span(storage).first(bytes));
    }
    request.rest_ = std::span(storage).first(bytes);
    return request;
}

const char* FuseRequest::take_text() {
    const void* const end = std::memchr(rest_.data(), 0, rest_.size());
    if (end == nullptr) return nullptr;
    // SAFETY: characters are bytes.
    const char* const text = reinterpret_cast<const char*>(rest_.data());
    rest_ = rest_.subspan(static_cast<std::size_t>(static_cast<const std::byte*>(end) - rest_.data()) + 1);
    return text;
}

const char* FuseRequest::take_name() {
    const char* const name = take_text();
    return name != nullptr && *name != 0 && std::strchr(name, '/') == nullptr ? name : nullptr;
}

}  // namespace mayfly
