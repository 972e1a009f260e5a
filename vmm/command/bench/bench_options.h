// SPDX-License-Identifier: Apache-2.0
// The command line of `mayfly bench boot`: from words to a BenchPlan.
#pragma once

#include <string>
#include <vector>

#include "vmm/bench/measure/plan.h"
#include "vmm/error/result.h"

namespace mayfly {

/// Something to measure beside the first column: the option that asked for it, without dashes, and its value.
struct Peer {
    std::string option;
    std::string value;
};

/// The words as given, before they are checked and converted.
struct BenchArguments {
    std::string runs = "20";
    std::string warmup = "1";
    std::string parallel = "1";
    std::string timeout = "60";
    std::string peer;         ///< the last of
    std::vector<Peer> peers;  ///< --against, --vs and --vs-binary, in their order
    std::vector<std::string> names;
    std::vector<std::string> parameters;
    std::vector<std::string> prepare;
    std::vector<std::string> expected;
    std::vector<std::string> marks;
    std::string json;
    std::string csv;
    std::string html;
    std::string markdown;
    bool is_verbose = false;
    bool is_help = false;
    std::vector<std::string> boot_words;  ///< BOOT-ARGS
};

/// `argv` starts at "boot". Errors: Invalid.
Result<BenchArguments> parse_bench_arguments(int argc, char** argv);

/// The columns but not yet QEMU's kernel when that is a built-in guest. Errors: Invalid, with the option, the
/// value and the limit; NotFound for a built-in guest that does not exist.
Result<BenchPlan> bench_plan(const BenchArguments& arguments);

}  // namespace mayfly
