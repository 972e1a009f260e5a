// SPDX-License-Identifier: Apache-2.0
// Entropy: the virtio entropy device. Fills the driver's buffers from an EntropySource.
//
// A call of process() gives at most kBytesPerCallMax, so a guest that asks for gigabytes does not hold up
// others. Thread: as VirtioDevice says. Spec: virtio 1.2 §5.4 "Entropy Device".
#pragma once

#include <array>
#include <string>

#include "devices/virtio/virtio_device.h"

namespace mayfly {

/// Where random bytes come from. Thread: under the device's lock.
class EntropySource {
  public:
    EntropySource() = default;
    EntropySource(const EntropySource&) = delete;
    EntropySource& operator=(const EntropySource&) = delete;
    virtual ~EntropySource() = default;

    /// Fills all of `parts`, guest memory, checked. False: the host gave none; then the parts are undefined.
    [[nodiscard]] virtual bool fill(std::span<const iovec> parts) = 0;
};

class Entropy final : public VirtioDevice {
  public:
    static constexpr u16 kQueueSize = 64;
    static constexpr u64 kBytesPerCallMax = KiB(64);

    /// The source outlives this.
    Entropy(std::string name, EntropySource& source) : name_(std::move(name)), source_(source) {}

    [[nodiscard]] std::string_view name() const override { return name_; }
    [[nodiscard]] u16 device_id() const override;
    [[nodiscard]] u64 features() const override { return 0; }
    [[nodiscard]] std::span<const u16> queue_sizes() const override;
    [[nodiscard]] bool needs_io_thread() const override { return false; }
    [[nodiscard]] std::span<const std::byte> config() const override { return {}; }
    void write_config(u32 offset_bytes, std::span<const std::byte> bytes) override;

    void start(u64 features, DeviceHost& host) override;
    [[nodiscard]] Progress process(u16 queue, u32 budget) override;
    [[nodiscard]] u32 in_flight() const override { return 0; }
    void cancel() override {}
    void stop() override { host_ = nullptr; }

  private:
    std::string name_;
    EntropySource& source_;
    DeviceHost* host_ = nullptr;
    std::array<iovec, kQueueSize> parts_{};
};

}  // namespace mayfly
