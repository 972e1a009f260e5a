// SPDX-License-Identifier: Apache-2.0
// The command boot: a machine from its options to its status.
//
// Thread: the main thread.
#pragma once

#include "vmm/command/options/boot_options.h"
#include "vmm/machine/lifecycle/timeline.h"

namespace mayfly {

/// `mayfly boot`. Returns the process's exit status; prints its own errors on stderr. `config` is what
/// `arguments` ask for. `timeline` has Phase::Main and outlives every thread.
int boot_command(const BootArguments& arguments, BootConfig config, Timeline& timeline);

/// `mayfly boot` with options that are refused: what print_error() does, and the report of --junit.
int refused_boot_command(const BootArguments& arguments, const Error& error, const Timeline& timeline);

}  // namespace mayfly
