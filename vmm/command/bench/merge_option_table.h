// SPDX-License-Identifier: Apache-2.0
// The options of `mayfly bench merge`: what the parser takes, and what help, man page and completions say.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "vmm/command/table/command_page.h"
#include "vmm/command/table/option_table.h"

namespace mayfly {

struct MergeArguments {
    std::string json;
    std::string html;
    bool is_help = false;
    std::vector<std::string> files;
};

inline constexpr CommandPage kMergePage{
    .command = "bench merge",
    .summary = "put reports of several machines or days beside each other",
    .operands = "[OPTIONS] FILE.json...",
    .text =
        "Reads reports that `mayfly bench boot --json FILE` wrote. Each becomes a column, with its facts "
        "(processor, kernel, KVM) and the least, median and greatest value of each quantity. All must have "
        "measured the same command.\n"
        "\n"
        "The FILE of an option may be -, which is stdout; the table then goes to stderr.",
    .status = "0 the reports were merged, 125 one was refused."};

namespace merge_option_table {
using M = MergeArguments;

inline constexpr std::array kOptions{
    Option<M>{.name = "json",
              .value = "FILE",
              .completion = "FILE",
              .help = "write the merged report as JSON",
              .text = &M::json},
    Option<M>{.name = "html",
              .value = "FILE",
              .completion = "FILE",
              .help = "write a page with charts",
              .text = &M::html},
    Option<M>{.name = "help", .letter = 'h', .help = "print this help and exit", .flag = &M::is_help},
};

}  // namespace merge_option_table

}  // namespace mayfly
