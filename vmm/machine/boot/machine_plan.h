// SPDX-License-Identifier: Apache-2.0
// MachinePlan: the choices for a guest. The user's options stay unchanged in BootConfig.
//
// Made once, from the configuration and the kernel, before there is any hardware; values only.
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "firmware/boot/printk_ring.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/machine/boot/console_choice.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/machine/boot/linux_command_line.h"
#include "vmm/machine/plan/device_plan.h"
#include "vmm/machine/plan/profile.h"

namespace mayfly {

struct GuestCommandLine {
    std::string text;
    bool lacks_defaults = false;  ///< mayfly's own words did not fit
    bool marks_panics = false;    ///< LinuxCommandLine's
};

struct MachinePlan {
    HostKind host;
    u32 cpus = 1;
    KernelChoice kernel;
    MachineShape shape;
    PitMode pit;                                    ///< of an 8254, if there is one
    ConsoleDevice console = ConsoleDevice::Serial;  ///< never Auto
    EarlyOutput early_output = EarlyOutput::None;
    std::optional<PrintkRing> log;  ///< the kernel's, if it was searched for and found
    DevicePlan devices;
    bool has_config_ports = false;  ///< CF8/CFC answer
    GuestCommandLine command_line;
};

/// Reads the kernel's headers, unpacks it where it is packed, and decides. Errors: of the kernel; Invalid for
/// an impossible machine, with the option; Stopped.
Result<MachinePlan> plan_machine(const BootConfig& config, const HostKind& host, GuestImages& images);

/// Of a plan with its devices: whether CF8/CFC answer.
[[nodiscard]] bool has_config_ports(const MachinePlan& plan);

/// Adds the guest's command line to a plan without one.
[[nodiscard]] GuestCommandLine plan_command_line(const MachinePlan& plan, const BootConfig& config,
                                                 bool is_verbose);

/// For -v: a line for each choice and why it was made.
[[nodiscard]] std::vector<std::string> describe(const MachinePlan& plan, const BootConfig& config,
                                                std::string_view kernel_name);

}  // namespace mayfly
