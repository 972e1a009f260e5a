// SPDX-License-Identifier: Apache-2.0
// The command boot: a machine from its options to its status.
//
// Thread: the main thread.
#pragma once

#include <memory>

#include "vmm/command/options/boot_options.h"
#include "vmm/machine/lifecycle/timeline.h"
#include "vmm/machine/snapshot/snapshot_file.h"

namespace mayfly {

/// `mayfly boot`. Returns the process's exit status; prints its own errors on stderr. `config` is what
/// `arguments` ask for. `timeline` has Phase::Main and outlives every thread. With `origin` the machine goes
/// on from there, and `config` is restored_config()'s.
int boot_command(const BootArguments& arguments, BootConfig config, Timeline& timeline,
                 std::unique_ptr<Snapshot> origin = nullptr);

/// `mayfly restore`. Returns the process's exit status; prints its own errors on stderr.
int restore_command(const BootArguments& arguments, Timeline& timeline);

/// `mayfly boot` with options that are refused: what print_error() does, and the report of --junit.
int refused_boot_command(const BootArguments& arguments, const Error& error, const Timeline& timeline);

}  // namespace mayfly
