// SPDX-License-Identifier: Apache-2.0
// Console: the virtio console device with one port.
//
// Input goes straight into the buffers that the driver gave; input without room stays with its producer, so a
// guest that does not read costs no memory. Output goes to the sink in pieces of at most kBytesPerCallMax per
// call of process(), so a chain that describes gigabytes does not hold up others. Several ports, and the
// control queues they need, are not offered.
//
// Thread: as VirtioDevice says; receive() and resize() also come under the device's lock.
// Spec: virtio 1.2 §5.3 "Console Device".
#pragma once

#include <array>
#include <string>

#include "devices/virtio/console_spec.h"
#include "devices/virtio/virtio_device.h"

namespace mayfly {

/// The other end of the console's wire. Thread: under the device's lock; may not call the console.
class ConsoleSink {
  public:
    ConsoleSink() = default;
    ConsoleSink(const ConsoleSink&) = delete;
    ConsoleSink& operator=(const ConsoleSink&) = delete;
    virtual ~ConsoleSink() = default;

    /// Output of the guest. The ranges are checked guest memory, or the device's own.
    virtual void write(std::span<const iovec> parts) = 0;
    /// receive() may take bytes again. Also called when nothing was refused.
    virtual void on_room() = 0;
};

class Console final : public VirtioDevice {
  public:
    static constexpr u16 kQueueSize = 64;
    static constexpr u64 kBytesPerCallMax = KiB(64);

    /// The sink outlives this. A size of 0 by 0 stands for an unknown one.
    Console(std::string name, ConsoleSink& sink, u16 cols = 0, u16 rows = 0);

    /// Gives input to the driver. \returns how many of the bytes were taken, from the front; when fewer than
    /// all, on_room() follows once the driver gave room.
    [[nodiscard]] std::size_t receive(std::span<const u8> bytes);
    /// The window's size changed. A running driver is notified; before that, the caller informs the
    /// transport.
    void resize(u16 cols, u16 rows);

    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] u16 device_id() const override;
    [[nodiscard]] u64 features() const override;
    [[nodiscard]] std::span<const u16> queue_sizes() const override;
    [[nodiscard]] bool needs_io_thread() const override { return false; }
    [[nodiscard]] std::span<const std::byte> config() const override;
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override;

    void start(u64 features, DeviceHost& host) override;
    [[nodiscard]] Progress process(u16 queue, u32 budget) override;
    /// Nothing works on guest memory between calls; process() alone touches the rest of output_.
    [[nodiscard]] u32 in_flight() const override { return 0; }
    void cancel() override {}
    void give_back() override;
    void stop() override;

    struct State {
        virtio_console::Config config{};
        bool wants_room = false;  ///< the receive queue was empty when looked at last
        u64 written_bytes = 0;    ///< of the transmit queue's next chain, which was written in part
    };
    /// Under the lock, while the device is paused. restore() needs a device that has been started if the
    /// saved one had been. False: no console can be in this state.
    [[nodiscard]] State save() const { return state_; }
    [[nodiscard]] bool restore(const State& state);

  private:
    /// The chain that written_bytes belongs to, once popped.
    struct Output {
        bool is_pending = false;
        ChainToken token;
        std::span<iovec> rest;
    };

    [[nodiscard]] Progress transmit(u32 budget);
    [[nodiscard]] Progress look_for_room();
    /// Writes pending output and removes it. \returns how many bytes.
    [[nodiscard]] u64 write_output(u64 bytes_max);

    std::string name_;
    ConsoleSink& sink_;
    DeviceHost* host_ = nullptr;
    State state_;
    Output output_;
    std::array<iovec, kQueueSize> output_parts_{};
};

}  // namespace mayfly
