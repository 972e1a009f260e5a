// SPDX-License-Identifier: Apache-2.0
// VirtioConsole: connects the virtio console to the user's output and input.
//
// Thread: receive() and resize() on the console input's thread; the rest as ConsoleSink says.
#pragma once

#include <memory>

#include "devices/virtio/console.h"
#include "devices/virtio/transport/core.h"
#include "vmm/loop/backend.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/console/kernel_log.h"

namespace mayfly {

/// The ends that a console device is connected to.
struct ConsoleEnds {
    ConsoleOutput& output;
    ConsoleInput& input;
    KernelLog* log = nullptr;  ///< of what was said before the console; null without one
};

class VirtioConsole final : public Backend, private ConsoleSink {
  public:
    /// Its ends outlive the console.
    explicit VirtioConsole(const ConsoleEnds& ends)
        : output_(ends.output), input_(ends.input), log_(ends.log) {}

    /// The device, which the console outlives. Once; with set_core(), before the guest runs.
    [[nodiscard]] std::unique_ptr<Console> make_model(std::string name, WindowSize size);
    void set_core(VirtioCore& core) { core_ = &core; }

    /// The calling vCPU does the work.
    Result<void> attach(Loop& /*loop*/) override { return {}; }

    /// Once its input is connected: a driver that listened before the restore still listens.
    void ask_for_input();
    /// Both do nothing and report it while the device is busy: ConsoleInput::Deliver, Resize.
    [[nodiscard]] std::optional<std::size_t> receive(std::span<const u8> bytes);
    [[nodiscard]] bool resize(WindowSize size);

  private:
    void write(std::span<const iovec> parts) override;
    void on_room() override { input_.want(); }

    ConsoleOutput& output_;
    ConsoleInput& input_;
    KernelLog* log_;
    Console* model_ = nullptr;
    VirtioCore* core_ = nullptr;
};

}  // namespace mayfly
