// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/share/fuse_client.h"

#include <algorithm>

namespace mayfly::test {

namespace {

// As Linux 6.12 says.
constexpr u32 kMajor = 7;
constexpr u32 kMinor = 41;
constexpr u32 kAllFlags = ~(u32{1} << 31U);  // FUSE_INIT_RESERVED

std::vector<iovec> pieces_of(Bytes& bytes, std::size_t piece_bytes) {
    std::vector<iovec> pieces;
    for (std::size_t at = 0; at < bytes.size(); at += piece_bytes)
        pieces.push_back(
            {.iov_base = bytes.data() + at, .iov_len = std::min(piece_bytes, bytes.size() - at)});
    return pieces;
}

ShareOptions options_of(const std::string& directory, const FuseClient::How& how) {
    return {.directory = directory,
            .is_read_only = how.is_read_only,
            .cache = how.cache,
            .owner = how.owner,
            .announces_mounts = how.announces_mounts};
}

}  // namespace

FuseClient::FuseClient(const std::string& directory, const How& how) {
    Result<std::unique_ptr<FuseServer>> opened = FuseServer::open(options_of(directory, how), {});
    REQUIRE(opened);
    server_ = std::move(*opened);
    const Result<void> entered = server_->enter();
    REQUIRE(entered);
    if (!how.begins) return;
    fuse_init_in in{};
    in.major = kMajor;
    in.minor = kMinor;
    in.max_readahead = 1U << 17U;
    in.flags = kAllFlags;
    in.flags2 = ~u32{0};
    REQUIRE(send(kInit, 0, in).error == 0);
}

Answer FuseClient::send_bytes(u32 opcode, u64 node, const Bytes& body) {
    fuse_in_header header{};
    header.len = static_cast<u32>(sizeof header + body.size());
    header.opcode = opcode;
    header.unique = ++unique_;
    header.nodeid = node;
    header.uid = uid_;
    header.gid = gid_;
    Bytes request;
    append_part(request, header);
    append_part(request, body);
    Bytes room(room_bytes_, std::byte{0xa5});
    std::vector<iovec> parts = pieces_of(request, piece_bytes_);
    std::vector<iovec> room_parts = pieces_of(room, piece_bytes_);
    const u32 written = server_->serve(parts, room_parts, nullptr).value();
    CHECK(std::all_of(room.begin() + written, room.end(),
                      [](std::byte byte) { return byte == std::byte{0xa5}; }));
    if (written == 0) return {};
    fuse_out_header out{};
    REQUIRE(written >= sizeof out);
    std::memcpy(&out, room.data(), sizeof out);
    CHECK(out.len == written);
    CHECK(out.unique == unique_);
    return {.error = out.error, .body = Bytes(room.begin() + sizeof out, room.begin() + written)};
}

u64 FuseClient::look_up(const std::string& path) {
    u64 node = kRoot;
    for (std::size_t at = 0; at < path.size();) {
        const std::size_t end = std::min(path.find('/', at), path.size());
        const Answer answer = send(kLookup, node, path.substr(at, end - at));
        if (answer.error != 0) return 0;
        node = answer.as<fuse_entry_out>().nodeid;
        if (node == 0) return 0;
        at = end + 1;
    }
    return node;
}

u64 FuseClient::open(u64 node, u32 flags) {
    const Answer answer = send(kOpen, node, fuse_open_in{.flags = flags, .open_flags = 0});
    REQUIRE(answer.error == 0);
    return answer.as<fuse_open_out>().fh;
}

Bytes FuseClient::read(u64 node, u64 handle, u64 offset, u32 size) {
    fuse_read_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = size;
    const Answer answer = send(kRead, node, in);
    REQUIRE(answer.error == 0);
    return answer.body;
}

}  // namespace mayfly::test
