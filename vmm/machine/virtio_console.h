// SPDX-License-Identifier: Apache-2.0
// VirtioConsole: the virtio console between the guest and what the user sees and types.
//
// Thread: receive() and resize() on the console input's thread; the rest as ConsoleSink says.
#pragma once

#include "devices/virtio/console.h"
#include "devices/virtio/core.h"
#include "vmm/machine/console.h"

namespace mayfly {

class VirtioConsole final : private ConsoleSink {
  public:
    /// Both outlive the console.
    VirtioConsole(std::string name, ConsoleOutput& output, ConsoleInput& input, WindowSize size)
        : output_(output), input_(input), model_(std::move(name), *this, size.columns, size.rows) {}

    [[nodiscard]] VirtioDevice& model() { return model_; }
    /// Before the guest runs.
    void set_core(VirtioCore& core) { core_ = &core; }

    /// Both do nothing while the device is at work, and say so: ConsoleInput::Deliver, Resize.
    [[nodiscard]] std::optional<std::size_t> receive(std::span<const u8> bytes);
    [[nodiscard]] bool resize(WindowSize size);

  private:
    void write(std::span<const iovec> parts) override;
    void on_room() override { input_.want(); }

    ConsoleOutput& output_;
    ConsoleInput& input_;
    Console model_;
    VirtioCore* core_ = nullptr;
};

}  // namespace mayfly
