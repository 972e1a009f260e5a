// SPDX-License-Identifier: Apache-2.0
// The commands of mayfly. Each returns the process's exit status and prints its own errors on stderr.
#pragma once

#include "vmm/error/result.h"
#include "vmm/machine/config.h"
#include "vmm/machine/early_kvm.h"
#include "vmm/machine/timeline.h"

namespace mayfly {

/// Prints the one line that an Error is, and returns 125, or 127 for NotFound.
int print_error(const Error& error);

/// Writes what was asked for on stdout. Returns 0, or 125 when it could not be written.
int print_result(std::string_view text);

/// `mayfly boot`. `timeline` has Phase::Main; `early` and it outlive every thread.
int boot_command(BootConfig config, EarlyKvm& early, Timeline& timeline);

/// `mayfly boot` with options that are refused: what print_error() does, and the report of --junit.
int refused_boot_command(const std::string& kernel, const std::string& junit_path, const Error& error,
                         const Timeline& timeline);

/// `mayfly doctor`. Returns 0 when this host can boot guests, else 125.
int doctor_command(bool is_json);

/// `mayfly bench`. `argv` starts at "bench". Returns 0 when all runs ended alike, 1 when some failed.
int bench_command(int argc, char** argv);

/// `mayfly version`.
int version_command(bool is_json);

}  // namespace mayfly
