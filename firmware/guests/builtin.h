// SPDX-License-Identifier: Apache-2.0
// The guests that are built into the binary: hello, the demo, and a probe for each thing that tests
// prove.
//
// Each is one ELF64 file that starts by PVH, Linux-64, Multiboot 1 and Multiboot 2 alike, reports its
// findings on the serial port and exits through port 0xf4 with the number of failures. Immutable after start;
// any thread.
#pragma once

#include <span>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

/// A guest's requirements of its machine, in the words of the command line.
struct BuiltinGuest {
    std::string_view name;
    std::string_view description;  ///< one line, lower case, no full stop
    u32 cpus = 1;
    std::string_view profile = "auto";     ///< "auto", "modern" or "legacy"
    std::string_view irqchip = "default";  ///< "default" or "none"
    bool needs_test_device = false;
    bool ends_by_itself = true;  ///< false: idle, or waits for input
};

[[nodiscard]] std::span<const BuiltinGuest> builtin_guests();

/// The ELF file's bytes, or those of the same file packed by gzip; empty when no guest has that name.
[[nodiscard]] std::span<const std::byte> find_builtin_guest(std::string_view name);

}  // namespace mayfly
