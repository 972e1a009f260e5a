// SPDX-License-Identifier: Apache-2.0
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "tests/unit/vmm/loop/loop_fixture.h"
#include "tests/unit/vmm/share/fuse_client.h"
#include "vmm/share/share_backend.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// Requests that are sent together, and the loop that answers them.
class Driver final : public FsIoClient {
  public:
    explicit Driver(const std::string& directory) : loop_(make_loop()) {
        ShareOptions options;
        options.directory = directory;
        backend_ = std::move(*ShareBackend::open(options, {}));
    }

    std::size_t add(u32 opcode, u64 node, const Bytes& body, std::size_t room = 4096) {
        Request& request = requests_.emplace_back();
        fuse_in_header header{};
        header.len = static_cast<u32>(sizeof header + body.size());
        header.opcode = opcode;
        header.nodeid = node;
        header.unique = requests_.size();
        append_part(request.bytes, header);
        append_part(request.bytes, body);
        request.room.resize(room);
        request.parts = {{.iov_base = request.bytes.data(), .iov_len = request.bytes.size()}};
        request.room_parts = {{.iov_base = request.room.data(), .iov_len = request.room.size()}};
        request.io = {.client = this, .request = request.parts, .room = request.room_parts, .next = nullptr};
        return requests_.size() - 1;
    }
    /// Sends the added requests, one by one or all at once. The loop runs on a thread of its own. Before the
    /// request `cancelled_before`, a departing driver cancels all earlier ones.
    void run(bool at_once, std::size_t cancelled_before = 0) {
        std::thread([&] {
            REQUIRE(backend_->attach(*loop_));
            at_once_ = at_once;
            CallTimer first([&] {
                do {
                    if (cancelled_before != 0 && sent_ == cancelled_before) backend_->cancel_all();
                    backend_->start(requests_[sent_++].io);
                } while (at_once_ && sent_ < requests_.size());
            });
            loop_->set_timer(first, loop_->now_ns());
            NoPoller poller;
            loop_->run(poller);
        }).join();
    }
    void on_fs_io_done(FsIo& io, u32 written_bytes) override {
        for (std::size_t i = 0; i < requests_.size(); ++i) {
            if (&requests_[i].io != &io) continue;
            requests_[i].room.resize(written_bytes);
            order_.push_back(i);
        }
        if (order_.size() == requests_.size()) return loop_->stop();
        if (!at_once_) backend_->start(requests_[sent_++].io);
    }

    [[nodiscard]] Answer answer(std::size_t index) const {
        const Bytes& room = requests_[index].room;
        fuse_out_header header{};
        REQUIRE(room.size() >= sizeof header);
        std::memcpy(&header, room.data(), sizeof header);
        CHECK(header.unique == index + 1);
        CHECK(header.len == room.size());
        return {.error = header.error, .body = Bytes(room.begin() + sizeof header, room.end())};
    }
    [[nodiscard]] bool is_given_up(std::size_t index) const { return requests_[index].room.empty(); }
    [[nodiscard]] const std::vector<std::size_t>& order() const { return order_; }

  private:
    struct Request {
        Bytes bytes;
        Bytes room;
        std::vector<iovec> parts;
        std::vector<iovec> room_parts;
        FsIo io;
    };
    std::unique_ptr<ShareBackend> backend_;
    std::unique_ptr<Loop> loop_;  // destroyed first
    std::deque<Request> requests_;
    std::size_t sent_ = 0;
    bool at_once_ = false;
    std::vector<std::size_t> order_;
};

template <typename... Parts>
Bytes body_of(const Parts&... parts) {
    Bytes body;
    (append_part(body, parts), ...);
    return body;
}

Bytes init() {
    fuse_init_in in{};
    in.major = 7;
    in.minor = 41;
    return body_of(in);
}

fuse_read_in read_at(u64 offset, u32 size) {
    fuse_read_in in{};
    in.offset = offset;
    in.size = size;
    return in;
}

}  // namespace

TEST_CASE("a read that the host has to fetch first is answered whole", "[share]") {
    const ScratchTree tree;
    constexpr u64 kBytes = MiB(1);
    tree.file("file", std::string(kBytes, 'x') + "end");
    const std::string path = tree.path("file");
    {
        const UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_RDWR));
        REQUIRE(::fsync(fd.get()) == 0);
        REQUIRE(::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
    }
    Driver guest(tree.path());
    guest.add(kInit, 0, init());
    guest.add(kLookup, kRoot, body_of(std::string("file")));
    guest.add(kOpen, 2, body_of(fuse_open_in{}));
    const std::size_t whole = guest.add(kRead, 2, body_of(read_at(0, u32{kBytes})), kBytes + 16);
    const std::size_t end = guest.add(kRead, 2, body_of(read_at(kBytes - 5, 100)));
    const std::size_t behind = guest.add(kRead, 2, body_of(read_at(kBytes + 3, 100)));
    const std::size_t synced = guest.add(kFsync, 2, body_of(fuse_fsync_in{}));
    // The handle of a closed file, which the guest once had.
    const std::size_t closed = guest.add(kRelease, 2, body_of(fuse_release_in{}));
    guest.run(false);
    CHECK((guest.answer(whole).body == Bytes(kBytes, std::byte{'x'})));  // a megabyte is not shown
    CHECK(guest.answer(end).text() == "xxxxxend");
    CHECK(guest.answer(behind).error == 0);
    CHECK(guest.answer(behind).body.empty());
    CHECK(guest.answer(synced).error == 0);
    CHECK(guest.answer(closed).error == 0);
}

TEST_CASE("requests that wait for the host do not delay others, however many wait", "[share]") {
    const ScratchTree tree;
    tree.sparse("holes", MiB(64));
    Driver guest(tree.path());
    guest.add(kInit, 0, init());
    guest.add(kLookup, kRoot, body_of(std::string("holes")));
    guest.add(kOpen, 2, body_of(fuse_open_in{}));
    // More than can wait at a time: the others are read inline.
    constexpr std::size_t kReads = 200;
    for (u64 i = 0; i < kReads; ++i) guest.add(kRead, 2, body_of(read_at(i * MiB(1) / 4, 4096)), 4096 + 16);
    guest.add(kFsync, 2, body_of(fuse_fsync_in{}));
    guest.add(kRelease, 2, body_of(fuse_release_in{}));
    guest.run(true);
    for (std::size_t i = 3; i < 3 + kReads; ++i) CHECK(guest.answer(i).body == Bytes(4096));
    CHECK(guest.answer(3 + kReads).error == 0);
    CHECK(guest.order().size() == 3 + kReads + 2);
}

TEST_CASE("an old driver's requests are dropped, and none of the next driver's", "[share]") {
    const ScratchTree tree;
    Driver guest(tree.path());
    guest.add(kInit, 0, init());
    // More than are begun before the cancellation.
    constexpr std::size_t kOld = 60;
    constexpr std::size_t kNew = 60;
    for (std::size_t i = 0; i < kOld + kNew; ++i) guest.add(kGetattr, kRoot, body_of(fuse_getattr_in{}));
    guest.run(true, 1 + kOld);
    CHECK(guest.is_given_up(kOld));
    for (std::size_t i = 1 + kOld; i < 1 + kOld + kNew; ++i) {
        REQUIRE_FALSE(guest.is_given_up(i));
        CHECK(guest.answer(i).error == 0);
    }
}
