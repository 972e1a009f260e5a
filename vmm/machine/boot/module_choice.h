// SPDX-License-Identifier: Apache-2.0
// `--modules auto`: the directory of a kernel's modules, by the kernel's place and its release.
//
// Thread: one thread, before any vCPU runs.
#pragma once

#include <string>
#include <vector>

#include "vmm/machine/boot/machine_plan.h"

namespace mayfly {

constexpr std::string_view kAutoModules = "auto";

/// Where the modules of Linux `release` may lie, whose kernel is the file `kernel`: beside it, as in a
/// package that was unpacked by hand, then on this machine.
[[nodiscard]] std::vector<std::string> module_places(const std::string& kernel, const std::string& release);

/// Of the drivers that the devices need, those that the kernel lacks, as far as it tells.
[[nodiscard]] std::vector<std::string_view> missing_drivers(const MachinePlan& plan,
                                                            const GuestImages& images);

/// Of the modules of `wanted`, those that the kernel lacks, as far as it tells.
[[nodiscard]] std::vector<std::string_view> not_built_in(std::vector<std::string_view> wanted,
                                                         const MachinePlan& plan, const GuestImages& images);

/// The first of the places that holds modules; empty where the kernel has everything `wanted` built in.
/// Errors: Invalid, with the places, where none holds modules, and for a kernel that does not tell its
/// release.
Result<std::string> choose_modules(const std::vector<std::string_view>& wanted, const MachinePlan& plan,
                                   const GuestImages& images, const std::string& release);

}  // namespace mayfly
