// SPDX-License-Identifier: Apache-2.0
// Which device a guest's console is, and what carries a Linux kernel's words before that device has its
// driver.
//
// Thread: any; values only.
#pragma once

#include <optional>

#include "firmware/boot/printk_ring.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// The device that the user's words, or the kind of the kernel, decide for. Nothing: it depends on what a
/// Linux kernel has built in. Never Auto.
[[nodiscard]] std::optional<ConsoleDevice> console_by_options(const BootConfig& config, bool is_linux);

/// The drivers that a Linux kernel has built in.
struct LinuxDrivers {
    bool has_virtio_console = false;
    bool has_virtio_mmio = false;
};
[[nodiscard]] ConsoleDevice console_by_drivers(TransportChoice transport, LinuxDrivers drivers);

/// Who carries the first part of a Linux guest's log, of which a virtio console says nothing.
enum class EarlyOutput : u8 {
    None,  ///< the console itself, or nobody: the user named consoles
    Log,   ///< KernelLog, at no cost to the guest
    Uart,  ///< EarlyConsole
};

[[nodiscard]] bool lacks_early_output(const BootConfig& config, bool is_linux, ConsoleDevice console);
/// Of a guest that lacks it. `ring` is where the kernel keeps its log, if that is known.
[[nodiscard]] EarlyOutput choose_early_output(const BootConfig& config,
                                              const std::optional<PrintkRing>& ring);

}  // namespace mayfly
