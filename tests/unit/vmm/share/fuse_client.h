// SPDX-License-Identifier: Apache-2.0
// The guest's side of a FuseServer, as Linux's driver speaks: requests in parts, and their answers.
#pragma once

#include <cstring>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "vmm/share/fuse_server.h"

namespace mayfly::test {

// Linux include/uapi/linux/fuse.h, 7.41, restated.
enum Opcode : u32 {
    kLookup = 1,
    kForget = 2,
    kGetattr = 3,
    kSetattr = 4,
    kReadlink = 5,
    kSymlink = 6,
    kMknod = 8,
    kMkdir = 9,
    kUnlink = 10,
    kRmdir = 11,
    kRename = 12,
    kLink = 13,
    kOpen = 14,
    kRead = 15,
    kWrite = 16,
    kStatfs = 17,
    kRelease = 18,
    kFsync = 20,
    kSetxattr = 21,
    kGetxattr = 22,
    kListxattr = 23,
    kRemovexattr = 24,
    kFlush = 25,
    kInit = 26,
    kOpendir = 27,
    kReaddir = 28,
    kReleasedir = 29,
    kFsyncdir = 30,
    kCreate = 35,
    kInterrupt = 36,
    kDestroy = 38,
    kIoctl = 39,
    kBatchForget = 42,
    kFallocate = 43,
    kReaddirplus = 44,
    kRename2 = 45,
    kLseek = 46,
    kCopyFileRange = 47,
    kSyncfs = 50,
    kTmpfile = 51,
    kStatx = 52,
};
inline constexpr u64 kRoot = 1;

using Bytes = std::vector<std::byte>;

inline void append(Bytes& bytes, const void* from, std::size_t size) {
    const auto* const first = static_cast<const std::byte*>(from);
    bytes.insert(bytes.end(), first, first + size);
}

/// Appends a part of a request: a structure, or a name with its terminator.
template <typename T>
void append_part(Bytes& bytes, const T& part) {
    append(bytes, &part, sizeof part);
}
inline void append_part(Bytes& bytes, const std::string& name) {
    append(bytes, name.c_str(), name.size() + 1);
}
inline void append_part(Bytes& bytes, const Bytes& data) { append(bytes, data.data(), data.size()); }

struct Answer {
    i32 error = 0;
    Bytes body{};

    template <typename T>
    [[nodiscard]] T as(std::size_t offset = 0) const {
        T value{};
        REQUIRE(body.size() >= offset + sizeof value);
        std::memcpy(&value, body.data() + offset, sizeof value);
        return value;
    }
    [[nodiscard]] std::string text() const {
        return {reinterpret_cast<const char*>(body.data()), body.size()};
    }
};

class FuseClient {
  public:
    struct How {
        bool is_read_only = false;
        ShareCache cache = ShareCache::Auto;
        std::optional<ShareOwner> owner{};
        bool begins = true;
        bool announces_mounts = true;
    };
    explicit FuseClient(const std::string& directory, const How& how);
    explicit FuseClient(const std::string& directory) : FuseClient(directory, How()) {}

    [[nodiscard]] FuseServer& server() { return *server_; }

    template <typename... Parts>
    Answer send(u32 opcode, u64 node, const Parts&... parts) {
        Bytes body;
        (append_part(body, parts), ...);
        return send_bytes(opcode, node, body);
    }
    /// Cut into pieces of so many bytes, which no driver does but any may do.
    Answer send_bytes(u32 opcode, u64 node, const Bytes& body);
    void set_user(u32 uid, u32 gid) {
        uid_ = uid;
        gid_ = gid;
    }
    void set_piece(std::size_t bytes) { piece_bytes_ = bytes; }
    void set_room(std::size_t bytes) { room_bytes_ = bytes; }

    /// The node's number; 0 without a node.
    u64 look_up(const std::string& path);
    /// Requires that there is one.
    u64 open(u64 node, u32 flags = 0);
    Bytes read(u64 node, u64 handle, u64 offset, u32 size);

  private:
    std::unique_ptr<FuseServer> server_;
    u64 unique_ = 1;
    u32 uid_ = 0;
    u32 gid_ = 0;
    std::size_t piece_bytes_ = 4096;
    std::size_t room_bytes_ = 1U << 17U;
};

}  // namespace mayfly::test
