// SPDX-License-Identifier: Apache-2.0
// The neighbours of a VirtioCore in tests: a device whose I/O ends when the test says, a worker that does the
// work at once, and the ends of interrupts.
//
// Thread: as the interfaces say; a test that reads while others run holds the core's mutex.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "devices/io/msi_port.h"
#include "devices/virtio/transport/core.h"
#include "devices/virtio/transport/mmio_transport.h"

namespace mayfly {

class FakeVirtioDevice final : public VirtioDevice {
  public:
    explicit FakeVirtioDevice(std::vector<u16> queue_sizes = {8, 16}, std::size_t config_bytes = 12)
        : config_(config_bytes), queue_sizes_(std::move(queue_sizes)) {
        for (std::size_t i = 0; i < config_bytes; ++i) config_[i] = static_cast<std::byte>(0xc0 + i);
    }

    [[nodiscard]] std::string_view name() const override { return "fake0"; }
    [[nodiscard]] u16 device_id() const override { return id; }
    [[nodiscard]] u64 features() const override { return offered; }
    [[nodiscard]] std::span<const u16> queue_sizes() const override { return queue_sizes_; }
    [[nodiscard]] bool needs_io_thread() const override { return false; }
    [[nodiscard]] std::span<const std::byte> config() const override { return config_; }
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override {
        ++config_writes;
        for (std::size_t i = 0; i < bytes.size(); ++i)
            if (u64{offset_bytes} + i < config_.size()) config_[offset_bytes + i] = bytes[i];
    }
    void start(u64 features, DeviceHost& host) override {
        ++starts;
        accepted = features;
        host_ = &host;
    }
    [[nodiscard]] Progress process(u16 queue, u32 budget) override {
        ++processed;
        for (u32 i = 0; i < budget; ++i) {
            const auto [result, chain] = host_->queue(queue).pop(parts_);
            if (result == PopResult::Empty) return Progress::Drained;
            if (result == PopResult::Broken) return Progress::Waiting;
            held.push_back({queue, chain.token});
            if (!is_holding) finish_one(false);
        }
        return Progress::More;
    }
    [[nodiscard]] u32 in_flight() const override { return static_cast<u32>(held.size()) + busy; }
    void cancel() override { ++cancels; }
    void give_back() override { ++gives_back; }
    void stop() override {
        ++stops;
        host_ = nullptr;
    }

    /// Under the lock: the oldest piece of I/O ends, as a backend's completion does it.
    void finish_one(bool is_completion = true) {
        const auto [queue, token] = held.front();
        held.erase(held.begin());
        host_->queue(queue).push(token, 0);
        if (is_completion) host_->completed(queue);
    }
    void set_config(std::size_t at, u8 value) { config_.at(at) = std::byte{value}; }
    [[nodiscard]] DeviceHost& host() { return *host_; }

    u16 id = 2;
    u64 offered = 0x0004'0000'0000'0225;
    u64 accepted = 0;
    bool is_holding = false;
    u32 busy = 0;  ///< in flight besides chains
    int config_writes = 0;
    int starts = 0;
    int stops = 0;
    int processed = 0;
    int cancels = 0;
    int gives_back = 0;
    std::vector<std::pair<u16, ChainToken>> held;

  private:
    std::vector<std::byte> config_;
    std::vector<u16> queue_sizes_;
    std::array<iovec, 64> parts_{};
    DeviceHost* host_ = nullptr;
};

/// Works where the doorbell rang.
class FakeQueueWorker final : public QueueWorker {
  public:
    void on_start(VirtioCore& core) override {
        ++starts;
        for (u16 i = 0; i < core.queue_count(); ++i) run_again(core, i);
    }
    void on_stop(VirtioCore& /*core*/) override { ++stops; }
    void on_doorbell(VirtioCore& core, u16 queue) override {
        doorbells.push_back(queue);
        run_again(core, queue);
    }
    void on_doorbells_moved(VirtioCore& /*core*/) override { ++moves; }
    void on_completed(VirtioCore& core, u16 queue) override { core.publish(queue); }
    void run_again(VirtioCore& core, u16 queue) override { last_progress = core.run_queue(queue, 64); }
    void run_at(VirtioCore& /*core*/, u16 /*queue*/, u64 /*deadline_ns*/) override {}
    [[nodiscard]] bool is_ending() const override { return ending; }

    int starts = 0;
    int stops = 0;
    int moves = 0;
    std::vector<u16> doorbells;
    Progress last_progress = Progress::Drained;
    std::atomic<bool> ending = false;
};

/// Stands for a transport, so that the core is seen alone.
class FakeTransportClient final : public TransportClient {
  public:
    void interrupt_queue(u16 queue) override { queue_interrupts.push_back(queue); }
    void interrupt_config() override { ++config_interrupts; }
    void registers_changed() override { ++changes; }
    [[nodiscard]] DoorbellPlaces doorbells(u16 /*queue*/) const override { return {}; }

    std::vector<u16> queue_interrupts;
    int config_interrupts = 0;
    int changes = 0;
};

class FakeMsiPort final : public MsiPort {
  public:
    struct Message {
        u16 vector;
        u64 address;
        u32 data;
        bool operator==(const Message&) const = default;
    };
    void set_message(u16 vector, u64 address, u32 data) override { set.push_back({vector, address, data}); }
    MsiPath send(u16 vector) override {
        sent.push_back(vector);
        return path;
    }

    std::vector<Message> set;
    std::vector<u16> sent;
    MsiPath path = MsiPath::Irqfd;
};

class FakeEdge final : public EdgeInterrupt {
  public:
    void raise(QueueCounts* counts) override {
        ++edges;
        if (counts != nullptr) ++counts->interrupts_line;
    }

    int edges = 0;
};

}  // namespace mayfly
