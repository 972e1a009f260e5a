// SPDX-License-Identifier: Apache-2.0
// Which device a guest's console is, and what carries a Linux kernel's messages before that device has its
// driver.
//
// Thread: any; values only.
#pragma once

#include <optional>

#include "firmware/boot/printk_ring.h"
#include "vmm/machine/plan/config.h"

namespace mayfly {

/// The device that follows from the user's options or the kind of kernel. Empty: it depends on a Linux
/// kernel's built-in drivers. Never Auto.
[[nodiscard]] std::optional<ConsoleDevice> console_by_options(const BootConfig& config, bool is_linux);

/// The drivers that a Linux kernel has built in.
struct LinuxDrivers {
    bool has_virtio_console = false;
    bool has_virtio_mmio = false;
};
[[nodiscard]] ConsoleDevice console_by_drivers(TransportChoice transport, LinuxDrivers drivers);

/// The carrier of the first part of a Linux guest's log, which a virtio console does not show.
enum class EarlyOutput : u8 {
    None,  ///< the console itself, or nothing: the user named consoles
    Log,   ///< KernelLog, at no cost to the guest
    Uart,  ///< EarlyConsole
};

[[nodiscard]] bool lacks_early_output(const BootConfig& config, bool is_linux, ConsoleDevice console);
/// For a guest without one. `ring` is the place of the kernel's log, if known.
[[nodiscard]] EarlyOutput choose_early_output(const BootConfig& config,
                                              const std::optional<PrintkRing>& ring);

}  // namespace mayfly
