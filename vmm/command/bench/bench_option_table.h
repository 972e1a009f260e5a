// SPDX-License-Identifier: Apache-2.0
// The options of `mayfly bench boot`: what the parser takes, and what help, man page and completions say.
#pragma once

#include <array>

#include "vmm/command/bench/bench_options.h"
#include "vmm/command/table/command_page.h"
#include "vmm/command/table/option_table.h"

namespace mayfly {

inline constexpr CommandPage kBenchPage{
    .command = "bench boot",
    .summary = "measure how long a boot takes, many times over",
    .operands = "[OPTIONS] -- BOOT-ARGS",
    .text =
        "Measures `mayfly boot BOOT-ARGS` from exec to its first guest instruction, to each mark and to "
        "its exit, each time as a fresh process, and prints a table.\n"
        "\n"
        "A FILE may be -, which is stdout; the table then goes to stderr. {NAME} is replaced in BOOT-ARGS, "
        "--against, --vs, --vs-binary, --prepare and --name.\n"
        "\n"
        "`mayfly bench merge` puts the JSON reports of several machines or days beside each other.",
    .status =
        "0 all runs ended as expected, 1 some failed, 125 mayfly failed, 127 the kernel does not exist, "
        "128+N signal N ended mayfly."};

namespace bench_option_table {
using B = BenchArguments;

inline constexpr std::array kOptions{
    Option<B>{.section = "Runs",
              .name = "runs",
              .letter = 'n',
              .value = "N",
              .help = "timed runs of each column [20]",
              .text = &B::runs},
    Option<B>{
        .name = "warmup", .value = "N", .help = "runs before them that do not count [1]", .text = &B::warmup},
    Option<B>{.name = "parallel", .value = "P", .help = "run P at once [1]", .text = &B::parallel},
    Option<B>{.name = "timeout",
              .value = "SECONDS",
              .help = "a run that takes longer fails [60]",
              .text = &B::timeout},
    Option<B>{.name = "prepare",
              .value = "CMD",
              .help = "run by sh -c before each run; give one for all columns, or one for each of mayfly, "
                      "--against, --vs and --vs-binary",
              .list = &B::prepare},
    Option<B>{.name = "expect-status",
              .value = "N",
              .help = "any other status is a failure [0]; one for all columns, or one for each as with "
                      "--prepare",
              .list = &B::expected},
    Option<B>{.name = "mark",
              .value = "[NAME=]REGEX",
              .help = "measure the time until a console line matches; repeatable",
              .list = &B::marks},

    Option<B>{.section = "Columns",
              .name = "against",
              .value = "WHAT",
              .completion = "qemu-microvm",
              .help = "measure qemu-microvm or a 'COMMAND' beside mayfly; repeatable",
              .text = &B::peer},
    Option<B>{.name = "vs",
              .value = "'BOOT-ARGS'",
              .help = "measure this mayfly with other BOOT-ARGS beside it; repeatable",
              .text = &B::peer},
    Option<B>{.name = "vs-binary",
              .value = "PATH",
              .completion = "FILE",
              .help = "measure another mayfly with the same BOOT-ARGS; repeatable",
              .text = &B::peer},
    Option<B>{.name = "name",
              .value = "NAME",
              .help = "title of a column, mayfly's first; repeatable",
              .list = &B::names},
    Option<B>{.name = "parameter",
              .value = "NAME=A,B",
              .help = "a column for each value, which replaces {NAME}; repeatable",
              .list = &B::parameters},

    Option<B>{.section = "Results",
              .name = "json",
              .value = "FILE",
              .completion = "FILE",
              .help = "write every run and the summary",
              .text = &B::json},
    Option<B>{.name = "csv",
              .value = "FILE",
              .completion = "FILE",
              .help = "write a row for each run, and means",
              .text = &B::csv},
    Option<B>{.name = "html",
              .value = "FILE",
              .completion = "FILE",
              .help = "write a page with charts",
              .text = &B::html},
    Option<B>{.name = "export-markdown",
              .value = "FILE",
              .completion = "FILE",
              .help = "write the table as Markdown",
              .text = &B::markdown},
    Option<B>{.name = "verbose",
              .letter = 'v',
              .help = "print a line for each run, and the commands",
              .flag = &B::is_verbose},
    Option<B>{.name = "help", .letter = 'h', .help = "print this help and exit", .flag = &B::is_help},
};

}  // namespace bench_option_table

}  // namespace mayfly
