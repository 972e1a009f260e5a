// SPDX-License-Identifier: Apache-2.0
// The stream protocol, played against one end of a socket pair. Lengths are four bytes, big-endian.
#include "vmm/network/passt.h"

#include <array>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/vmm/network/network_fixture.h"

namespace {

using namespace mayfly;

struct Pair {
    Pair() {
        std::array<int, 2> fds{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
        REQUIRE(::fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
        peer = UniqueFd::adopt(fds[1]);
        const int small = 4096;
        REQUIRE(::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)) == 0);
        passt = std::make_unique<Passt>(UniqueFd::adopt(fds[0]), "passt under test");
        passt->set_client(&client);
    }
    void write(std::span<const std::byte> bytes) const {
        REQUIRE(::write(peer.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
    }
    [[nodiscard]] Bytes read_exactly(std::size_t size_bytes) const {
        Bytes bytes(size_bytes);
        std::size_t done = 0;
        while (done < size_bytes) {
            const ssize_t count = ::read(peer.get(), bytes.data() + done, size_bytes - done);
            if (count <= 0) break;
            done += static_cast<std::size_t>(count);
        }
        bytes.resize(done);
        return bytes;
    }

    CountingClient client;
    UniqueFd peer;
    std::unique_ptr<Passt> passt;
};

Bytes with_length(const Bytes& frame) {
    const std::size_t size = frame.size();
    return joined({static_cast<std::byte>(size >> 24), static_cast<std::byte>(size >> 16),
                   static_cast<std::byte>(size >> 8), static_cast<std::byte>(size)},
                  frame);
}

Bytes with_header(const Bytes& frame) { return joined(Bytes(12), frame); }

}  // namespace

TEST_CASE("passt: a frame arrives whole behind a header of zeroes, wherever the stream was cut", "[passt]") {
    const Bytes first = pattern(60);
    const Bytes second = pattern(14, 9);
    const Bytes stream = joined(with_length(first), with_length(second));
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        Pair it;
        it.write(std::span(stream).first(cut));
        std::vector<Bytes> received;
        for (Received r = receive_bytes(*it.passt); r.status == NetStatus::Done; r = receive_bytes(*it.passt))
            received.push_back(r.bytes);
        it.write(std::span(stream).subspan(cut));
        for (Received r = receive_bytes(*it.passt); r.status == NetStatus::Done; r = receive_bytes(*it.passt))
            received.push_back(r.bytes);
        REQUIRE(received == std::vector{with_header(first), with_header(second)});
    }
}

TEST_CASE("passt: a stream that comes byte by byte is parsed", "[passt]") {
    Pair it;
    const Bytes frame = pattern(100);
    const Bytes stream = with_length(frame);
    for (std::size_t i = 0; i + 1 < stream.size(); ++i) {
        it.write(std::span(stream).subspan(i, 1));
        REQUIRE(receive_bytes(*it.passt).status == NetStatus::Wait);
    }
    it.write(std::span(stream).last(1));
    REQUIRE(receive_bytes(*it.passt).bytes == with_header(frame));
}

TEST_CASE("passt: the largest frame passes in both directions", "[passt]") {
    Pair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    const Bytes frame = pattern(65535);
    const Bytes stream = with_length(frame);
    ssize_t written = 0;
    std::thread writer([&] { written = ::write(it.peer.get(), stream.data(), stream.size()); });
    Bytes received;
    CHECK(comes_true([&] {
        received = receive_bytes(*it.passt).bytes;
        return !received.empty();
    }));
    writer.join();
    CHECK(written == 65539);
    CHECK((received == with_header(frame)));
    CHECK(send_bytes(*it.passt, with_header(frame)) == NetStatus::Done);
    CHECK((it.read_exactly(4 + 65535) == with_length(frame)));
}

TEST_CASE("passt: a frame too large for the buffer is dropped, the next one is in step", "[passt]") {
    Pair it;
    it.write(with_length(pattern(100)));
    it.write(with_length(pattern(3)));
    it.write(with_length({}));
    it.write(with_length(pattern(60)));
    CHECK(receive_bytes(*it.passt, 111).status == NetStatus::Dropped);
    CHECK(receive_bytes(*it.passt, 111).status == NetStatus::Dropped);
    CHECK(receive_bytes(*it.passt, 111).status == NetStatus::Dropped);
    CHECK(receive_bytes(*it.passt, 111).bytes == with_header(pattern(60)));
    CHECK(receive_bytes(*it.passt, 111).status == NetStatus::Wait);
}

TEST_CASE("passt: a length beyond the limit takes the link down, once", "[passt]") {
    Pair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    const u8 first = GENERATE(as<u8>{}, 0, 0x80, 0xff);
    it.write(std::array{std::byte{first}, std::byte{1}, std::byte{0}, std::byte{0}});
    CHECK(comes_true([&] { return receive_bytes(*it.passt).status == NetStatus::Down; }));
    CHECK(comes_true([&] { return it.client.downs == 1; }));
    CHECK(send_bytes(*it.passt, with_header(pattern(60))) == NetStatus::Down);
    CHECK(receive_bytes(*it.passt).status == NetStatus::Down);
    CHECK(it.client.downs == 1);
}

TEST_CASE("passt: a lost peer takes the link down, whichever thread notices first", "[passt]") {
    Pair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    it.peer = UniqueFd();
    CHECK(comes_true([&] { return it.client.downs == 1; }));
    CHECK(receive_bytes(*it.passt).status == NetStatus::Down);
    CHECK(send_bytes(*it.passt, with_header(pattern(60))) == NetStatus::Down);
    const u64 turns = loop.turns();
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    CHECK(loop.turns() - turns < 10);
    CHECK(it.client.downs == 1);
}

TEST_CASE("passt: a peer that goes while no loop polls is noticed by sending", "[passt]") {
    Pair it;
    it.peer = UniqueFd();
    CHECK(send_bytes(*it.passt, with_header(pattern(60))) == NetStatus::Down);
    CHECK(receive_bytes(*it.passt).status == NetStatus::Down);
}

TEST_CASE("passt: with a slow peer sending waits, and goes on where the stream stood", "[passt]") {
    Pair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    std::vector<Bytes> frames;
    for (u8 i = 0; i < 30; ++i) frames.push_back(pattern(20000 + 997U * i, i));
    Bytes expected;
    for (const Bytes& frame : frames) expected = joined(expected, with_length(frame));

    std::size_t sent = 0;
    while (sent < frames.size() && send_bytes(*it.passt, with_header(frames[sent])) == NetStatus::Done)
        ++sent;
    REQUIRE(sent < frames.size());
    CHECK(send_bytes(*it.passt, with_header(frames[sent])) == NetStatus::Wait);
    Bytes stream;
    std::thread reader([&] { stream = it.read_exactly(expected.size()); });
    while (sent < frames.size()) {
        const int before = it.client.writable;
        const NetStatus status = send_bytes(*it.passt, with_header(frames[sent]));
        if (status == NetStatus::Done)
            ++sent;
        else
            REQUIRE(comes_true([&] { return it.client.writable > before; }));
    }
    // The rest of the last frame goes by itself.
    reader.join();
    CHECK((stream == expected));
}

TEST_CASE("passt: frames that ask for offloads or are not Ethernet are dropped", "[passt]") {
    Pair it;
    Bytes unfinished = with_header(pattern(60));
    unfinished[0] = std::byte{1};
    CHECK(send_bytes(*it.passt, unfinished) == NetStatus::Dropped);
    unfinished[0] = std::byte{0};
    unfinished[1] = std::byte{1};
    CHECK(send_bytes(*it.passt, unfinished) == NetStatus::Dropped);
    CHECK(send_bytes(*it.passt, with_header(pattern(13))) == NetStatus::Dropped);
    CHECK(send_bytes(*it.passt, with_header(pattern(65536))) == NetStatus::Dropped);
    CHECK(send_bytes(*it.passt, Bytes(1)) == NetStatus::Dropped);
    CHECK(send_bytes(*it.passt, with_header(pattern(14))) == NetStatus::Done);
    CHECK(it.read_exactly(18) == with_length(pattern(14)));
    CHECK(it.passt->offload_features() == 0);
    CHECK(it.passt->pair_count() == 1);
}

TEST_CASE("passt: a legacy driver's header is two bytes shorter", "[passt]") {
    Pair it;
    REQUIRE(it.passt->configure(0, 10, 1));
    it.write(with_length(pattern(60)));
    CHECK(receive_bytes(*it.passt).bytes == joined(Bytes(10), pattern(60)));
    CHECK(send_bytes(*it.passt, joined(Bytes(10), pattern(14))) == NetStatus::Done);
    CHECK(it.read_exactly(18) == with_length(pattern(14)));
}

TEST_CASE("passt: a frame may be cut into as many parts as a chain has, header included", "[passt]") {
    const std::size_t count = GENERATE(as<std::size_t>{}, 26, 27, 100, 1023, 1024);
    Pair it;
    Bytes bytes = with_header(pattern(count - 12));
    std::vector<iovec> parts;
    for (std::byte& byte : bytes) parts.push_back({.iov_base = &byte, .iov_len = 1});
    REQUIRE(parts.size() == count);
    CHECK(it.passt->send(0, parts) == NetStatus::Done);
    CHECK((it.read_exactly(4 + count - 12) == with_length(pattern(count - 12))));
}

namespace {

/// Ethernet, then an IPv4 header with this destination, then a pattern.
Bytes ipv4_frame(std::array<u8, 4> to, std::size_t size_bytes) {
    Bytes frame = pattern(size_bytes);
    frame[12] = std::byte{8};
    frame[13] = std::byte{0};
    for (std::size_t i = 0; i < to.size(); ++i) frame[30 + i] = std::byte{to[i]};
    return frame;
}

struct CountingKeeper final : PasstKeeper {
    void on_passt_lost(std::string_view why) override {
        is_closed = why == kPasstClosed;
        ++losses;
    }
    std::atomic<int> losses = 0;
    std::atomic<bool> is_closed = false;
};

struct KeptPair : Pair {
    KeptPair() { passt->set_keeper(keeper); }
    /// Called on the loop's thread, as by a keeper.
    bool reconnect(RunningLoop& loop) {
        std::array<int, 2> fds{};
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data()) == 0);
        UniqueFd socket = UniqueFd::adopt(fds[0]);
        peer = UniqueFd::adopt(fds[1]);
        struct Step final : Task {
            void run() override {
                passt->take_link_down();
                if (!passt->has_settled()) return loop->run_soon(*this);
                is_done = passt->reconnect(*loop, std::move(socket)).has_value();
            }
            Loop* loop = nullptr;
            Passt* passt = nullptr;
            UniqueFd socket;
            std::atomic<bool> is_done = false;
        } step;
        step.loop = loop.loop.get();
        step.passt = passt.get();
        step.socket = std::move(socket);
        loop.loop->post(step);
        const bool is_done = comes_true([&] { return step.is_done.load(); });
        return comes_true([&] { return !step.is_queued(); }) && is_done;
    }
    CountingKeeper keeper;
};

}  // namespace

TEST_CASE("passt: a new peer does not get the rest of a frame, and its own frames begin anew", "[passt]") {
    KeptPair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    // Both streams stand in the middle of a frame.
    Bytes half = with_length(pattern(1000));
    half.resize(500);
    it.write(half);
    CHECK(receive_bytes(*it.passt).status == NetStatus::Wait);
    while (send_bytes(*it.passt, with_header(pattern(20000))) == NetStatus::Done) {
    }
    it.peer = UniqueFd();
    CHECK(comes_true([&] { return it.client.downs == 1 && it.keeper.losses == 1; }));
    CHECK(it.keeper.is_closed);
    CHECK(send_bytes(*it.passt, with_header(pattern(60))) == NetStatus::Down);

    REQUIRE(it.reconnect(loop));
    CHECK(comes_true([&] { return it.client.ups == 1; }));
    CHECK(send_bytes(*it.passt, with_header(pattern(60))) == NetStatus::Done);
    CHECK(it.read_exactly(64) == with_length(pattern(60)));
    const int readable = it.client.readable[0];
    it.write(with_length(pattern(80)));
    CHECK(comes_true([&] { return it.client.readable[0] > readable; }));
    CHECK(receive_bytes(*it.passt).bytes == with_header(pattern(80)));
    // The client waits for room again, and is called once there is some.
    while (send_bytes(*it.passt, with_header(pattern(20000))) == NetStatus::Done) {
    }
    const int writable = it.client.writable;
    Bytes read(1 << 16);
    CHECK(comes_true([&] {
        while (::recv(it.peer.get(), read.data(), read.size(), MSG_DONTWAIT) > 0) {
        }
        return it.client.writable > writable;
    }));
}

TEST_CASE("passt: a keeper is told of nonsense, and may find another peer", "[passt]") {
    KeptPair it;
    RunningLoop loop;
    REQUIRE(it.passt->attach(*loop.loop));
    loop.run();
    for (int i = 1; i <= 3; ++i) {
        it.write(std::array{std::byte{0xff}, std::byte{1}, std::byte{0}, std::byte{0}});
        CHECK(comes_true([&] { return receive_bytes(*it.passt).status == NetStatus::Down; }));
        CHECK(comes_true([&] { return it.client.downs == i && it.keeper.losses == i; }));
        CHECK_FALSE(it.keeper.is_closed);
        REQUIRE(it.reconnect(loop));
        CHECK(comes_true([&] { return it.client.ups == i; }));
    }
    CHECK(it.passt->has_spoken());
}

TEST_CASE("passt: when guarded, frames to the host's loopback are dropped and others are whole", "[passt]") {
    Pair it;
    it.passt->guard_loopback();
    const std::size_t part_bytes = GENERATE(as<std::size_t>{}, 1, 5, 12, 13, 40, 66, 67, 2000);
    for (const std::size_t size_bytes :
         {std::size_t{34}, std::size_t{53}, std::size_t{54}, std::size_t{55}, std::size_t{900}}) {
        for (const u8 first : {u8{127}, u8{192}}) {
            const Bytes frame = ipv4_frame({first, 0, 2, 1}, size_bytes);
            Bytes bytes = with_header(frame);
            std::vector<iovec> parts;
            for (std::size_t at = 0; at < bytes.size(); at += part_bytes)
                parts.push_back({&bytes[at], std::min(part_bytes, bytes.size() - at)});
            const NetStatus status = it.passt->send(0, parts);
            CHECK(status == (first == 127 ? NetStatus::Dropped : NetStatus::Done));
            if (first != 127) CHECK((it.read_exactly(4 + size_bytes) == with_length(frame)));
        }
    }
    // Not IP: any bytes may stand there.
    Bytes frame = ipv4_frame({127, 0, 0, 1}, 60);
    frame[13] = std::byte{6};
    CHECK(send_bytes(*it.passt, with_header(frame)) == NetStatus::Done);
    CHECK(it.read_exactly(64) == with_length(frame));
}

TEST_CASE("passt: a failed connection is reported, with a remedy", "[passt]") {
    const auto none = Passt::connect("/nonexistent/passt.socket");
    REQUIRE_FALSE(none);
    CHECK_THAT(none.error().message(),
               Catch::Contains("/nonexistent/passt.socket") && Catch::Contains("passt --socket"));
    const auto long_path = Passt::connect("/" + std::string(200, 'x'));
    REQUIRE_FALSE(long_path);
    CHECK_THAT(long_path.error().message(), Catch::Contains("201") && Catch::Contains("107"));
    CHECK_FALSE(Passt::connect(""));
}
