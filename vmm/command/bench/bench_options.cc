// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_options.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "vmm/command/bench/bench_columns.h"
#include "vmm/command/bench/bench_option_table.h"
#include "vmm/command/options/foreign_options.h"
#include "vmm/command/table/option_table.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u32 kRunsMax = 100'000;
constexpr u32 kWarmupMax = 10'000;
constexpr u32 kParallelMax = 1'000;
constexpr u64 kTimeoutMaxSeconds = 86'400;
constexpr std::size_t kMarksMax = 32;

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
    using Parser = option_table::Parser<BenchArguments, bench_option_table::kOptions>;
    const auto store = [&](std::size_t index, const char* value) {
        Parser::store(index, value, arguments);
        if (Parser::kDestinations[index].text == &BenchArguments::peer)
            arguments.peers.push_back({Parser::kNames[index].name, value});
    };
    option_table::Words words =
        TRY(option_table::parse(Parser::kGrammar, argc, argv, store, foreign_bench_options()));
    if (arguments.is_help) return arguments;
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
