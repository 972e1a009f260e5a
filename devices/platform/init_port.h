// SPDX-License-Identifier: Apache-2.0
// InitPort: the ports by which our init opens its channel, rings the monitor's doorbell, and prints a line.
//
// Thread: any, under the device's bus lock.
// Spec: none but firmware/init/channel.h, whose offsets these are.
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// Receives init's requests. Called with the device's bus lock held, on a vCPU thread.
class InitPortSink {
  public:
    InitPortSink() = default;
    InitPortSink(const InitPortSink&) = delete;
    InitPortSink& operator=(const InitPortSink&) = delete;
    virtual ~InitPortSink() = default;

    virtual void on_open(u32 header_frame) = 0;
    virtual void on_doorbell(u8 wishes) = 0;
    virtual void on_text(u8 byte) = 0;
};

class InitPort final : public IoDevice {
  public:
    static constexpr u64 kOpenOffset = 0;  ///< 32 bits, at once or from the lowest byte to the highest
    static constexpr u64 kDoorbellOffset = 4;
    static constexpr u64 kTextOffset = 5;
    static constexpr u64 kSizeBytes = 6;

    struct State {
        u32 frame = 0;  ///< as far as it was written
    };

    /// `sink` outlives the device.
    explicit InitPort(InitPortSink& sink);

    [[nodiscard]] std::string_view name() const override { return "init-port"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    InitPortSink& sink_;
};

}  // namespace mayfly
