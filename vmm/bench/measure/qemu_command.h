// SPDX-License-Identifier: Apache-2.0
// The QEMU microvm that corresponds to a `mayfly boot`: same kernel, initrd, memory, processors, console on
// the serial port, exit port. Thread: values only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"

namespace mayfly {

struct QemuMachine {
    std::string kernel;  ///< a file
    std::string initrd;
    std::string append;
    u64 memory_bytes = MiB(128);
    u32 cpus = 1;
    bool has_serial_output = true;
    bool hides_arch_capabilities = false;  ///< where KVM lacks what `-cpu host` would pass through
};

/// argv, beginning with the program. QEMU counts memory in MiB: rounded up.
[[nodiscard]] std::vector<std::string> qemu_arguments(const QemuMachine& machine);

/// Writes a built-in guest's ELF file to `path`, without its Multiboot 1 header: QEMU prefers that one to
/// PVH, and refuses a 64-bit ELF file with it. Errors: Os.
Result<void> write_pvh_guest(std::span<const std::byte> elf, const std::string& path);

}  // namespace mayfly
