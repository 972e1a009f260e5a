// SPDX-License-Identifier: Apache-2.0
// The start of the lab host's first process, before it serves: mounts, modules, the port.
#pragma once

#include <string>

namespace mayfly::lab {

/// Mounts /proc and its like, loads the modules that /etc/lab-modules lists, with their parameters from the
/// kernel's command line. Complaints go to the console.
void prepare_machine();

/// Opens the serial port that /etc/lab-channel names, or, where it names none, the virtio-serial port of the
/// name that the client's QEMU gives it; negative after five seconds without.
[[nodiscard]] int open_port();

[[noreturn]] void power_off();

}  // namespace mayfly::lab
