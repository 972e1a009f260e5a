// SPDX-License-Identifier: Apache-2.0
// A file system device with a backend that keeps its requests, and the driver of its queues.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "devices/virtio/fs/fs.h"
#include "tests/support/driver_queue.h"
#include "tests/support/fake_device_host.h"

namespace mayfly {

// Restated from virtio 1.2 §5.11.2 "Virtqueues".
constexpr u16 kPriority = 0;
constexpr u16 kRequests = 1;

/// Answers when it is told to, with bytes that tell one answer from another.
class FakeFsBackend final : public FsBackend {
  public:
    FakeFsBackend() { pending.reserve(4096); }

    void start(FsIo& io) override { pending.push_back(&io); }
    void cancel_all() override { ++cancel_count; }
    void reset() override {
        ++reset_count;
        resets_at_pending.push_back(pending.size());
    }

    /// Ends the pending request `index` as its thread does, with `written_bytes` bytes of `with`.
    void finish(std::size_t index, u32 written_bytes, u8 with = 0x5a) {
        FsIo& io = *pending.at(index);
        pending.erase(pending.begin() + static_cast<std::ptrdiff_t>(index));
        u32 left = written_bytes;
        for (const iovec& part : io.room) {
            const auto here = static_cast<u32>(std::min<std::size_t>(left, part.iov_len));
            std::memset(part.iov_base, with, here);
            left -= here;
        }
        io.client->on_fs_io_done(io, written_bytes);
    }
    void finish_all() {
        while (!pending.empty()) finish(0, 0);
    }
    [[nodiscard]] std::string request(std::size_t index) const {
        std::string text;
        for (const iovec& part : pending.at(index)->request)
            text.append(static_cast<const char*>(part.iov_base), part.iov_len);
        return text;
    }

    std::vector<FsIo*> pending;
    u32 cancel_count = 0;
    u32 reset_count = 0;
    std::vector<std::size_t> resets_at_pending;
};

struct FsRig {
    explicit FsRig(DriverQueue::Options queue = {.size = 16}) : host(ram, {queue, queue}) {
        auto made = Fs::create({.name = "share0", .tag = "data"}, backend);
        REQUIRE(made);
        fs = std::move(*made);
        fs->start(0, host);
    }
    ~FsRig() {
        backend.finish_all();
        fs->stop();
    }

    u16 send(u16 queue, std::string_view text, u32 room_bytes = 64) {
        ChainBuilder chain;
        chain.readable(ram.place(text), static_cast<u32>(text.size()));
        if (room_bytes != 0) chain.writable(room = ram.allocate(room_bytes), room_bytes);
        return host.driver(queue).add(chain);
    }

    TestRam ram{u64{4} << 20};
    FakeFsBackend backend;
    FakeDeviceHost host;
    std::unique_ptr<Fs> fs;
    Gpa room{0};  ///< of the latest request
};

}  // namespace mayfly
