// SPDX-License-Identifier: Apache-2.0
// ReadyPort: the port by which a guest says that it is ready: for its snapshot, here. Each write is the same.
//
// Thread: any, under the device's bus lock.
#pragma once

#include <string_view>

#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// Called with the device's bus lock held, on a vCPU thread, which runs its next instruction afterwards.
class ReadySink {
  public:
    ReadySink() = default;
    ReadySink(const ReadySink&) = delete;
    ReadySink& operator=(const ReadySink&) = delete;
    virtual ~ReadySink() = default;

    virtual void on_ready() = 0;
};

class ReadyPort final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 1;

    /// `sink` outlives the device.
    explicit ReadyPort(ReadySink& sink) : sink_(sink) {}

    [[nodiscard]] std::string_view name() const override { return "ready-port"; }
    [[nodiscard]] u64 io_read(IoAccess at) override { return all_ones(at.size_bytes); }
    void io_write(IoAccess at, u64 /*value*/) override {
        if (at.offset_bytes == 0) sink_.on_ready();
    }
    void reset() override {}

  private:
    ReadySink& sink_;
};

}  // namespace mayfly
