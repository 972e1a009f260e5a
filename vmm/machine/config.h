// SPDX-License-Identifier: Apache-2.0
// BootConfig: what the user asked for, as plain values. Checked by whoever acts on a value.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "firmware/boot/boot.h"
#include "vmm/machine/ending.h"

namespace mayfly {

enum class ProfileChoice : u8 { Auto, Modern, Legacy };
enum class IrqchipChoice : u8 {
    Auto,   ///< what the profile says
    Split,  ///< LAPICs in the kernel only
    Full,   ///< LAPICs, IOAPIC, 8259s and 8254 in the kernel
    None,   ///< nothing in the kernel: an 8259 pair in user space, one vCPU
};

struct BootConfig {
    std::string kernel;  ///< a path, or "builtin:NAME"
    std::string initrd;
    std::vector<std::string> modules;  ///< "FILE[ ARGS]", in order
    std::string append;
    Protocol protocol = Protocol::Auto;
    ProfileChoice profile = ProfileChoice::Auto;
    IrqchipChoice irqchip = IrqchipChoice::Auto;
    u64 memory_bytes = MiB(128);
    u32 cpus = 1;  ///< 0: as many as a built-in guest needs, else 1; settled before a Machine is made
    std::optional<std::chrono::milliseconds> timeout;
    std::string console = "stdio";  ///< "stdio", "null" or a file to append to
    std::vector<u16> exit_ports;
    StatusRules status_rules;
    bool has_test_device = false;

    bool wants_timeline = false;
    std::string timeline_json;
    bool wants_stats = false;
    std::string stats_json;
};

}  // namespace mayfly
