// SPDX-License-Identifier: Apache-2.0
// A network device between a driver's queues and a fake backend. Set-up only; constants restate virtio 1.2
// §5.1.
#pragma once

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "devices/virtio/net/net.h"
#include "tests/support/fake_device_host.h"
#include "tests/unit/devices/virtio/net/fake_net_backend.h"

namespace mayfly {

constexpr u64 bit(unsigned number) { return u64{1} << number; }
constexpr u64 kVersion1 = bit(32);
constexpr u64 kMergedBuffers = bit(15);
constexpr u64 kControlQueue = bit(17);
constexpr u64 kMultiQueue = bit(22);

struct NetRig {
    explicit NetRig(u64 features, NetOptions options = {}, FakeNetBackend& with = default_backend(),
                    DriverQueue::Options queues = {.size = 64})
        : backend(with) {
        options.name = "net0";
        options.mac = {0x52, 0x54, 0, 1, 2, 3};
        net = std::make_unique<Net>(options, backend);
        net->start(features, host_for(queues));
    }
    ~NetRig() {
        net->stop();
        net.reset();
    }

    static FakeNetBackend& default_backend() {
        static std::unique_ptr<FakeNetBackend> backend;
        backend = std::make_unique<FakeNetBackend>();
        return *backend;
    }

    FakeDeviceHost& host_for(const DriverQueue::Options& o) {
        if (backend.pairs == 1)
            host =
                std::make_unique<FakeDeviceHost>(ram, std::initializer_list<DriverQueue::Options>{o, o, o});
        else
            host = std::make_unique<FakeDeviceHost>(
                ram, std::initializer_list<DriverQueue::Options>{o, o, o, o, o});
        return *host;
    }

    DriverQueue& receive_driver() { return host->driver(0); }
    DriverQueue& send_driver() { return host->driver(1); }

    /// Works as a transport does.
    Progress run(u16 queue, u32 budget = 64) {
        const Progress progress = net->process(queue, budget);
        last_interrupt = host->queue(queue).publish();
        return progress;
    }
    Gpa give_buffer(u32 size_bytes) {
        const Gpa at = ram.allocate(size_bytes);
        ram.fill(at, size_bytes, 0xee);
        receive_driver().add(ChainBuilder().writable(at, size_bytes));
        return at;
    }
    /// A header of zeroes and a frame of `size_bytes`, as from the backend.
    static FakeNetBackend::Bytes frame(std::size_t header_bytes, std::size_t size_bytes, u8 first = 1) {
        FakeNetBackend::Bytes bytes(header_bytes);
        for (std::size_t i = 0; i < size_bytes; ++i) bytes.push_back(static_cast<std::byte>(first + i % 251));
        return bytes;
    }
    /// \returns the ack byte.
    u8 command(u16 queue, u8 command_class, u8 code, std::span<const std::byte> data) {
        FakeNetBackend::Bytes bytes{std::byte{command_class}, std::byte{code}};
        bytes.insert(bytes.end(), data.begin(), data.end());
        const Gpa in = ram.place(bytes);
        const Gpa ack = ram.allocate(1);
        ram.fill(ack, 1, 0xee);
        const u16 id = host->driver(queue).add(
            ChainBuilder().readable(in, static_cast<u32>(bytes.size())).writable(ack, 1));
        REQUIRE(run(queue) == Progress::Drained);
        REQUIRE(host->driver(queue).take_used() == DriverQueue::Used{id, 1});
        return *ram.at<u8>(ack);
    }

    FakeNetBackend& backend;
    TestRam ram{4 << 20};
    std::unique_ptr<FakeDeviceHost> host;
    std::unique_ptr<Net> net;
    bool last_interrupt = false;
};

}  // namespace mayfly
