// SPDX-License-Identifier: Apache-2.0
// A loop on its own thread, a client that counts its calls, and frames. Set-up only.
#pragma once

#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "devices/virtio/net/net_backend.h"
#include "tests/unit/vmm/loop/loop_fixture.h"

namespace mayfly {

using Bytes = std::vector<std::byte>;

class CountingClient final : public NetClient {
  public:
    void on_net_readable(u16 pair) override { ++readable[pair]; }
    void on_net_writable(u16 /*pair*/) override { ++writable; }
    void on_net_link(bool is_up) override { is_up ? ++ups : ++downs; }

    std::array<std::atomic<int>, 4> readable{};
    std::atomic<int> writable = 0;
    std::atomic<int> ups = 0;
    std::atomic<int> downs = 0;
};

/// Destroyed before the backends that are attached to it.
class RunningLoop {
  public:
    RunningLoop() : loop(make_loop()) {}
    ~RunningLoop() {
        loop->stop();
        if (thread_.joinable()) thread_.join();
    }
    void run() {
        thread_ = std::thread([this] { loop->run(poller_); });
    }
    /// The count so far, once run() was called. The loop's own thread counts, in a turn or two.
    u64 turns() {
        class Reader final : public Task {
          public:
            explicit Reader(Loop& read) : loop(read) {}
            void run() override { turns.store(loop.counts().turns); }
            Loop& loop;
            std::atomic<u64> turns = 0;
        };
        Reader reader(*loop);
        loop->post(reader);
        while (reader.turns.load() == 0) std::this_thread::yield();
        return reader.turns.load();
    }
    std::unique_ptr<Loop> loop;

  private:
    NoPoller poller_;
    std::thread thread_;
};

template <typename Condition>
bool comes_true(Condition condition) {
    for (int i = 0; i < 2000; ++i) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return condition();
}

inline Bytes pattern(std::size_t size_bytes, u8 first = 1) {
    Bytes bytes(size_bytes);
    for (std::size_t i = 0; i < size_bytes; ++i) bytes[i] = static_cast<std::byte>(first + i % 251);
    return bytes;
}

inline Bytes joined(const Bytes& a, const Bytes& b) {
    Bytes both = a;
    both.insert(both.end(), b.begin(), b.end());
    return both;
}

inline NetStatus send_bytes(NetBackend& backend, Bytes bytes, u16 pair = 0) {
    const iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
    return backend.send(pair, std::span(&part, 1));
}

/// The frame that came, header included; empty without one.
struct Received {
    NetStatus status;
    Bytes bytes;
};
inline Received receive_bytes(NetBackend& backend, std::size_t room_bytes = 70000, u16 pair = 0) {
    Bytes room(room_bytes);
    // In three parts, so that none of the borders is one of the frame's.
    const std::size_t cut = std::min<std::size_t>(room_bytes, 5);
    const std::size_t rest = (room_bytes - cut) / 2;
    const iovec parts[] = {{.iov_base = room.data(), .iov_len = cut},
                           {.iov_base = room.data() + cut, .iov_len = rest},
                           {.iov_base = room.data() + cut + rest, .iov_len = room_bytes - cut - rest}};
    const auto [status, frame_bytes] = backend.receive(pair, parts);
    room.resize(status == NetStatus::Done ? frame_bytes : 0);
    return {status, room};
}

}  // namespace mayfly
