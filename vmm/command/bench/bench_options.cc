// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_options.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "vmm/command/bench/bench_columns.h"
#include "vmm/command/options/option_table.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u32 kRunsMax = 100'000;
constexpr u32 kWarmupMax = 10'000;
constexpr u32 kParallelMax = 1'000;
constexpr u64 kTimeoutMaxSeconds = 86'400;
constexpr std::size_t kMarksMax = 32;

using B = BenchArguments;

constexpr std::array kBenchOptions{
    Option<B>{
        .name = "runs", .letter = 'n', .value = "N", .help = "timed runs of each [20]", .text = &B::runs},
    Option<B>{
        .name = "warmup", .value = "N", .help = "runs before them that do not count [1]", .text = &B::warmup},
    Option<B>{.name = "parallel", .value = "P", .help = "P at once [1]", .text = &B::parallel},
    Option<B>{.name = "against",
              .value = "WHAT",
              .help = "qemu-microvm, or 'COMMAND': measured beside it; repeatable",
              .text = &B::peer},
    Option<B>{.name = "vs",
              .value = "'BOOT-ARGS'",
              .help = "this mayfly with these instead, beside it; repeatable",
              .text = &B::peer},
    Option<B>{.name = "vs-binary",
              .value = "PATH",
              .help = "another mayfly with the same BOOT-ARGS; repeatable",
              .text = &B::peer},
    Option<B>{.name = "name",
              .value = "NAME",
              .help = "of a column: the first is mayfly's; repeatable",
              .list = &B::names},
    Option<B>{.name = "parameter",
              .value = "NAME=A,B",
              .help = "a column for each value, which takes {NAME}'s place; repeatable",
              .list = &B::parameters},
    Option<B>{.name = "prepare",
              .value = "CMD",
              .help = "for sh -c, before each run; one, or one for each of the above",
              .list = &B::prepare},
    Option<B>{.name = "expect-status",
              .value = "N",
              .help = "any other is a failure [0]; one, or one for each of the above",
              .list = &B::expected},
    Option<B>{.name = "mark",
              .value = "[NAME=]REGEX",
              .help = "a console line that is a moment to measure; repeatable",
              .list = &B::marks},
    Option<B>{.name = "json", .value = "FILE", .help = "write every run and the summary", .text = &B::json},
    Option<B>{.name = "csv", .value = "FILE", .help = "write one row a run, and means", .text = &B::csv},
    Option<B>{.name = "html", .value = "FILE", .help = "write a page with charts", .text = &B::html},
    Option<B>{.name = "export-markdown",
              .value = "FILE",
              .help = "write the table for a text on the web",
              .text = &B::markdown},
    Option<B>{.name = "timeout",
              .value = "SECONDS",
              .help = "a run that takes longer fails [60]",
              .text = &B::timeout},
    Option<B>{.name = "verbose",
              .letter = 'v',
              .help = "a line for each run, and the commands",
              .flag = &B::is_verbose},
    Option<B>{.name = "help", .letter = 'h', .help = "print this and exit", .flag = &B::is_help},
};

constexpr std::string_view kUsage =
    "usage: mayfly bench boot [OPTIONS] -- BOOT-ARGS\n"
    "\n"
    "Measures `mayfly boot BOOT-ARGS` from exec to its first guest instruction, to each mark and to its\n"
    "exit, each time as a fresh process, and prints a table. A FILE may be -: stdout, and the table goes to\n"
    "stderr. {NAME} is replaced in BOOT-ARGS, --against, --vs, --vs-binary, --prepare and --name.\n"
    "status: 0 all runs ended as expected, 1 some failed, 125 mayfly failed, 127 no such kernel, 128+N\n"
    "ended by signal N.\n\n";

Result<u32> numbered(std::string_view option, const std::string& text, u32 min, u32 max) {
    Result<u64> value = parse_number(text, max);
    if (!value) return fail(std::move(value).error().about(option));
    if (*value < min) return fail(Error::invalid(fmt::format("{} {}: at least {}", option, text, min)));
    return static_cast<u32>(*value);
}

/// stdout carries one document, or the table.
Result<void> check_stdout(const BenchArguments& arguments) {
    const char* taken = nullptr;
    const std::array<std::pair<const char*, const std::string*>, 4> files{
        std::pair{"--json", &arguments.json},
        {"--csv", &arguments.csv},
        {"--html", &arguments.html},
        {"--export-markdown", &arguments.markdown}};
    for (const auto& [option, path] : files) {
        if (*path != "-") continue;
        if (taken != nullptr)
            return fail(Error::invalid(fmt::format("{} - and {} -: stdout takes one document", taken, option))
                            .hint("give one of them a file"));
        taken = option;
    }
    return {};
}

}  // namespace

Result<BenchArguments> parse_bench_arguments(int argc, char** argv) {
    BenchArguments arguments;
    const bool ends_with_dashes = std::string_view(argv[argc - 1]) == "--";
    // Their order among each other counts.
    const auto store = [&](std::size_t index, const char* value) {
        const Option<B>& option = kBenchOptions[index];
        store_option(option, value, arguments);
        if (option.text == &B::peer) arguments.peers.push_back({option.name, value});
    };
    option_table::Words words = TRY(option_table::parse(shapes_of<B>(kBenchOptions), argc, argv, store));
    if (arguments.is_help) {
        arguments.help_text = std::string(kUsage) + print_options<B>(kBenchOptions);
        return arguments;
    }
    if (!words.plain.empty())
        return fail(
            Error::invalid(fmt::format("'{}' is not an option of mayfly bench boot", words.plain.front()))
                .hint("what is to be booted comes behind --"));
    if (words.behind.empty() && !ends_with_dashes)
        return fail(Error::invalid("BOOT-ARGS are missing").hint("mayfly bench boot [OPTIONS] -- BOOT-ARGS"));
    arguments.boot_words = std::move(words.behind);
    return arguments;
}

Result<BenchPlan> bench_plan(const BenchArguments& arguments) {
    BenchPlan plan;
    plan.runs = TRY(numbered("--runs", arguments.runs, 1, kRunsMax));
    plan.warmup = TRY(numbered("--warmup", arguments.warmup, 0, kWarmupMax));
    plan.parallel = TRY(numbered("--parallel", arguments.parallel, 1, kParallelMax));
    if (plan.parallel > plan.runs)
        return fail(Error::invalid(fmt::format("--parallel {} is more than the {} runs that there are (-n)",
                                               plan.parallel, plan.runs)));
    Result<u64> timeout = parse_seconds_ms(arguments.timeout, kTimeoutMaxSeconds);
    if (!timeout) return fail(std::move(timeout).error().about("--timeout"));
    plan.timeout_ms = *timeout;
    plan.is_verbose = arguments.is_verbose;
    if (arguments.marks.size() > kMarksMax)
        return fail(Error::invalid(
            fmt::format("{} times --mark; the limit is {}", arguments.marks.size(), kMarksMax)));
    for (const std::string& mark : arguments.marks) {
        plan.marks.push_back(TRY(ConsoleMark::parse(mark)));
        const std::string& name = plan.marks.back().name();
        const auto is_same = [&](const ConsoleMark& other) { return other.name() == name; };
        if (std::count_if(plan.marks.begin(), plan.marks.end(), is_same) > 1)
            return fail(Error::invalid(fmt::format("two times --mark '{}'", name)));
    }
    TRY_VOID(check_stdout(arguments));
    plan.columns = TRY(bench_columns(arguments));
    return plan;
}

}  // namespace mayfly
