// SPDX-License-Identifier: Apache-2.0
// The command line of `mayfly bench boot`: from words to a BenchPlan.
#pragma once

#include <string>
#include <vector>

#include "vmm/bench/plan.h"
#include "vmm/bench/qemu_command.h"
#include "vmm/error/result.h"

namespace mayfly {

/// The words as given, before they are checked and converted.
struct BenchArguments {
    std::string runs = "20";
    std::string warmup = "1";
    std::string parallel = "1";
    std::string timeout = "60";
    std::vector<std::string> against;
    std::vector<std::string> names;
    std::vector<std::string> marks;
    std::string json;
    std::string csv;
    std::string html;
    bool is_verbose = false;
    bool is_help = false;
    std::string help_text;                ///< filled when is_help
    std::vector<std::string> boot_words;  ///< BOOT-ARGS
};

/// `argv` starts at "boot". Errors: Invalid.
Result<BenchArguments> parse_bench_arguments(int argc, char** argv);

/// The columns but not yet QEMU's kernel when that is a built-in guest. Errors: Invalid, with the option, the
/// value and the limit; NotFound for a built-in guest that does not exist.
Result<BenchPlan> bench_plan(const BenchArguments& arguments);

/// What QEMU needs to do the same as `mayfly boot BOOT-ARGS`. The kernel may be "builtin:NAME". Errors:
/// Invalid for an option that QEMU's microvm has no counterpart of.
Result<QemuMachine> qemu_machine(const std::vector<std::string>& boot_words);

}  // namespace mayfly
