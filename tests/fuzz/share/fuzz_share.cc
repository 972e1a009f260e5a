// SPDX-License-Identifier: Apache-2.0
// Fuzzes the FUSE server with a guest that sends anything: every opcode in every state, with valid and
// invalid node numbers, cut into pieces of any size, with room for the answer or without. No byte may be
// written behind the answer, nothing outside the directory read or changed, and a server that starts anew
// knows no node and has no file open.
//
// The input is requests, one after another: opcode, node, handle, piece, room (a byte each), length (two),
// body. Numbers below kOwn stand for numbers that the server gave before; others are taken as they are.
#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/virtio/input_reader.h"
#include "vmm/share/fuse_server.h"

namespace {

using namespace mayfly;
namespace fs = std::filesystem;

constexpr std::size_t kRequestsMax = 64;
constexpr std::size_t kBodyMax = 1024;
constexpr u8 kOwn = 224;
constexpr rlim_t kFileBytesMax = 1U << 20U;
constexpr unsigned kRunsUntilClean = 256;
constexpr std::byte kUntouched{0xa5};
const std::string kSecret = "a secret of the host";

void require(bool is_true) {
    if (!is_true) std::abort();
}

std::string content_of(const fs::path& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// TOP/secret, and the shared directory TOP/shared with a few things in it.
class HostDirectories {
  public:
    HostDirectories() : top_(fs::temp_directory_path() / ("fuzz_share-" + std::to_string(::getpid()))) {
        // A guest that makes a file of exabytes gets an error, as on any host with limits.
        const rlimit limit{.rlim_cur = kFileBytesMax, .rlim_max = kFileBytesMax};
        require(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        (void)::signal(SIGXFSZ, SIG_IGN);
        fs::create_directories(top_);
        std::ofstream(top_ / "secret") << kSecret;
        outside_ = {inode_of(top_), inode_of(top_ / "secret")};
        make();
        ShareOptions options;
        options.directory = shared();
        server_ = std::move(*FuseServer::open(options, {}));
        require(server_->enter().has_value());
    }
    HostDirectories(const HostDirectories&) = delete;
    HostDirectories& operator=(const HostDirectories&) = delete;
    ~HostDirectories() { fs::remove_all(top_); }

    FuseServer& server() { return *server_; }
    /// Inodes: the directory above, and the secret in it.
    [[nodiscard]] const std::array<u64, 2>& outside() const { return outside_; }

    void check_and_clean() {
        require(content_of(top_ / "secret") == kSecret);
        require(fs::status(top_ / "secret").permissions() == fs::perms(0644));
        require(std::distance(fs::directory_iterator(top_), {}) == 2);
        if (++runs_ % kRunsUntilClean != 0) return;
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(shared(), ignored)) {
            fs::permissions(entry.path(), fs::perms::owner_all,
                            fs::perm_options::add | fs::perm_options::nofollow, ignored);
            fs::remove_all(entry.path(), ignored);
        }
        fs::permissions(shared(), fs::perms(0755), ignored);
        make();
    }

  private:
    [[nodiscard]] fs::path shared() const { return top_ / "shared"; }
    static u64 inode_of(const fs::path& path) {
        struct stat status {};
        require(::stat(path.c_str(), &status) == 0);
        return status.st_ino;
    }
    void make() const {
        std::error_code ignored;
        fs::create_directories(shared() / "dir" / "sub", ignored);
        std::ofstream(shared() / "file") << std::string(5000, 'x');
        std::ofstream(shared() / "dir" / "file") << "content";
        fs::create_symlink("../secret", shared() / "link", ignored);
        fs::create_directory_symlink("..", shared() / "way", ignored);
        (void)::mkfifo((shared() / "fifo").c_str(), 0666);
    }

    fs::path top_;
    std::array<u64, 2> outside_{};
    std::unique_ptr<FuseServer> server_;
    unsigned runs_ = 0;
};

/// The numbers from the server, in order.
class Numbers {
  public:
    void add(u64 number) { numbers_[count_++ % numbers_.size()] = number; }
    [[nodiscard]] u64 of(u8 choice) const {
        return choice < kOwn && count_ != 0
                   ? numbers_[choice % std::min<std::size_t>(count_, numbers_.size())]
                   : choice - 1U;
    }

  private:
    std::array<u64, 16> numbers_{};
    std::size_t count_ = 0;
};

std::vector<iovec> cut(std::vector<std::byte>& bytes, std::size_t piece) {
    std::vector<iovec> parts;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
        parts.push_back({.iov_base = bytes.data() + at, .iov_len = std::min(piece, bytes.size() - at)});
    return parts;
}

class Guest {
  public:
    /// `outside`: inodes that the guest may not reach.
    Guest(FuseServer& server, const std::array<u64, 2>& outside) : server_(server), outside_(outside) {
        nodes_.add(FUSE_ROOT_ID);
        fuse_init_in init{};
        init.major = FUSE_KERNEL_VERSION;
        init.minor = FUSE_KERNEL_MINOR_VERSION;
        init.flags = init.flags2 = ~u32{0};
        std::vector<std::byte> body(sizeof init);
        std::memcpy(body.data(), &init, sizeof init);
        send(FUSE_INIT, 0, body, 4096, 4096);
    }

    void send_next(InputReader& input) {
        const u32 opcode = input.take<u8>();
        const u64 node = nodes_.of(input.take<u8>());
        const u64 handle = handles_.of(input.take<u8>());
        const std::size_t piece = std::size_t{input.take<u8>()} + 1;
        const std::size_t room = std::size_t{input.take<u8>()} * 64;
        std::vector<std::byte> body(input.take<u16>() % kBodyMax);
        for (std::byte& byte : body) byte = static_cast<std::byte>(input.take<u8>());
        if (has_handle(opcode) && body.size() >= sizeof handle)
            std::memcpy(body.data(), &handle, sizeof handle);
        send(opcode, node, body, piece, room);
    }

  private:
    static bool has_handle(u32 opcode) {
        return opcode == FUSE_READ || opcode == FUSE_WRITE || opcode == FUSE_RELEASE ||
               opcode == FUSE_FSYNC || opcode == FUSE_READDIR || opcode == FUSE_READDIRPLUS ||
               opcode == FUSE_RELEASEDIR || opcode == FUSE_FALLOCATE || opcode == FUSE_LSEEK ||
               opcode == FUSE_COPY_FILE_RANGE || opcode == FUSE_FSYNCDIR || opcode == FUSE_FLUSH;
    }

    void send(u32 opcode, u64 node, const std::vector<std::byte>& body, std::size_t piece,
              std::size_t room_bytes) {
        fuse_in_header header{};
        header.len = static_cast<u32>(sizeof header + body.size());
        header.opcode = opcode;
        header.unique = 7;
        header.nodeid = node;
        std::vector<std::byte> request(sizeof header);
        std::memcpy(request.data(), &header, sizeof header);
        request.insert(request.end(), body.begin(), body.end());
        std::vector<std::byte> room(room_bytes, kUntouched);
        std::vector<iovec> parts = cut(request, piece);
        std::vector<iovec> room_parts = cut(room, piece);
        const u32 written = server_.serve(parts, room_parts, nullptr).value();
        require(written <= room.size());
        // Bytes that a READ found and did not report may be there, no others.
        if (opcode != FUSE_READ)
            require(std::all_of(room.begin() + written, room.end(),
                                [](std::byte byte) { return byte == kUntouched; }));
        fuse_out_header out{};
        if (written < sizeof out) return;
        std::memcpy(&out, room.data(), sizeof out);
        require(out.len == written && out.unique == 7 && out.error <= 0);
        if (out.error == 0) learn(opcode, room, written);
    }

    void learn(u32 opcode, const std::vector<std::byte>& room, u32 written) {
        std::size_t at = sizeof(fuse_out_header);
        const bool is_entry = opcode == FUSE_LOOKUP || opcode == FUSE_CREATE || opcode == FUSE_MKDIR ||
                              opcode == FUSE_MKNOD || opcode == FUSE_SYMLINK || opcode == FUSE_LINK ||
                              opcode == FUSE_TMPFILE;
        fuse_entry_out entry{};
        if (is_entry && written >= at + sizeof entry) {
            std::memcpy(&entry, room.data() + at, sizeof entry);
            // By inode number: the fuzzer would learn to write a content itself.
            require(entry.nodeid == 0 || std::ranges::find(outside_, entry.attr.ino) == outside_.end());
            nodes_.add(entry.nodeid);
            at += sizeof entry;
        }
        const bool is_open =
            opcode == FUSE_OPEN || opcode == FUSE_OPENDIR || opcode == FUSE_CREATE || opcode == FUSE_TMPFILE;
        fuse_open_out open{};
        if (!is_open || written < at + sizeof open) return;
        std::memcpy(&open, room.data() + at, sizeof open);
        handles_.add(open.fh);
    }

    FuseServer& server_;
    const std::array<u64, 2>& outside_;
    Numbers nodes_;
    Numbers handles_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static HostDirectories surroundings;
    FuseServer& server = surroundings.server();
    {
        Guest guest(server, surroundings.outside());
        InputReader input({data, size});
        for (std::size_t i = 0; i < kRequestsMax && !input.is_empty(); ++i) guest.send_next(input);
    }
    server.reset();
    require(server.known_count() == 1 && server.open_count() == 0);
    surroundings.check_and_clean();
    return 0;
}
