// SPDX-License-Identifier: Apache-2.0
// MmioTransport: one virtio device as a page of registers and one edge-triggered interrupt.
//
// Thread: io_read()/io_write() on vCPU threads, interrupts on any; serialised by the core's mutex.
// Spec: virtio 1.2 §4.2 "Virtio Over MMIO".
#pragma once

#include "devices/io/io_device.h"
#include "devices/virtio/transport/core.h"

namespace mayfly {

/// Sends an edge. Under the core's mutex.
class EdgeInterrupt {
  public:
    EdgeInterrupt() = default;
    EdgeInterrupt(const EdgeInterrupt&) = delete;
    EdgeInterrupt& operator=(const EdgeInterrupt&) = delete;
    virtual ~EdgeInterrupt() = default;

    /// `counts` belongs to the queue that the interrupt is for; null for a configuration change.
    virtual void raise(QueueCounts* counts) = 0;
};

class MmioTransport final : public IoDevice, public TransportClient {
  public:
    static constexpr u64 kSizeBytes = 0x1000;

    /// Both outlive the transport; `base` is where its registers are.
    MmioTransport(VirtioCore& core, EdgeInterrupt& interrupt, u64 base);

    [[nodiscard]] std::string_view name() const override { return core_.device().name(); }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    void interrupt_queue(u16 queue) override REQUIRES(core_.mutex());
    void interrupt_config() override REQUIRES(core_.mutex());
    void registers_changed() override {}  // every read traps, so nothing is cached
    [[nodiscard]] DoorbellPlaces doorbells(u16 queue) const override;

    struct State {
        u32 device_features_select = 0;
        u32 driver_features_select = 0;
        u32 queue_select = 0;
        u32 interrupt_status = 0;
    };
    [[nodiscard]] State save() const {
        const Lock guard(core_.mutex());
        return state_;
    }
    /// False: no device can be in this state.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u32 read_register(u64 offset_bytes) REQUIRES(core_.mutex());
    void write_register(u64 offset_bytes, u32 value) REQUIRES(core_.mutex());
    bool write_queue_register(u64 offset_bytes, u32 value) REQUIRES(core_.mutex());
    [[nodiscard]] VirtioCore::QueueState* selected_queue() REQUIRES(core_.mutex());

    VirtioCore& core_;
    EdgeInterrupt& interrupt_;
    u64 base_;
    State state_ GUARDED_BY(core_.mutex());
};

}  // namespace mayfly
