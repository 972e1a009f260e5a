// SPDX-License-Identifier: Apache-2.0
// PostPort: port 0x80, where firmware writes its progress code. Each write is a mark on the boot timeline.
//
// Kernels also write it as a delay of about a microsecond; the sink has to bear a flood of marks.
//
// Thread: any, under the device's bus lock.
// Spec: none; the IBM PC/AT's manufacturing port. Reads back as on a PC, where it is a spare DMA page
// register.
#pragma once

#include <string_view>

#include "devices/io/boot_mark.h"
#include "devices/io/io_device.h"
#include "vmm/error/ints.h"

namespace mayfly {

class PostPort final : public IoDevice {
  public:
    /// The ports to map, so that a 4-byte write fits.
    static constexpr u64 kSizeBytes = 4;

    struct State {
        u32 last_value = 0;
        u64 writes = 0;
    };

    /// `marks` outlives the device.
    explicit PostPort(BootMarkSink& marks);

    [[nodiscard]] std::string_view name() const override { return "post-port"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    void restore(const State& state) { state_ = state; }

  private:
    State state_;
    BootMarkSink& marks_;
};

}  // namespace mayfly
