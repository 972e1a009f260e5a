// SPDX-License-Identifier: Apache-2.0
// The commands of mayfly. Each returns the process's exit status and prints its own errors on stderr.
#pragma once

#include "vmm/command/boot_options.h"
#include "vmm/error/result.h"
#include "vmm/machine/early_kvm.h"
#include "vmm/machine/timeline.h"

namespace mayfly {

/// Prints the one line that an Error is, and returns 125, or 127 for NotFound.
int print_error(const Error& error);

/// Writes what was asked for on stdout. Returns 0, or 125 when it could not be written.
int print_result(std::string_view text);

/// `mayfly boot`. `config` is what `arguments` ask for. `timeline` has Phase::Main; `early` and it outlive
/// every thread.
int boot_command(const BootArguments& arguments, BootConfig config, EarlyKvm& early, Timeline& timeline);

/// `mayfly boot` with options that are refused: what print_error() does, and the report of --junit.
int refused_boot_command(const BootArguments& arguments, const Error& error, const Timeline& timeline);

/// `mayfly doctor`. Returns 0 when this host can boot guests, else 125.
int doctor_command(bool is_json);

/// `mayfly bench`. `argv` starts at "bench". Returns 0 when all runs ended as expected, 1 when some failed.
int bench_command(int argc, char** argv);

/// `mayfly version`.
int version_command(bool is_json);

}  // namespace mayfly
