// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench_options.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "vmm/bench/words.h"
#include "vmm/command/boot_options.h"
#include "vmm/command/option_table.h"
#include "vmm/machine/guest_images.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u32 kRunsMax = 100'000;
constexpr u32 kWarmupMax = 10'000;
constexpr u32 kParallelMax = 1'000;
constexpr u64 kTimeoutMaxSeconds = 86'400;
constexpr std::size_t kColumnsMax = 8;
constexpr std::size_t kMarksMax = 32;
constexpr std::string_view kQemuWord = "qemu-microvm";

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
              .list = &B::against},
    Option<B>{.name = "name",
              .value = "NAME",
              .help = "of a column: the first is mayfly's; repeatable",
              .list = &B::names},
    Option<B>{.name = "mark",
              .value = "[NAME=]REGEX",
              .help = "a console line that is a moment to measure; repeatable",
              .list = &B::marks},
    Option<B>{.name = "json", .value = "FILE", .help = "write every run and the summary", .text = &B::json},
    Option<B>{.name = "csv", .value = "FILE", .help = "write one row a run", .text = &B::csv},
    Option<B>{.name = "html", .value = "FILE", .help = "write a page with charts", .text = &B::html},
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
    "exit, each time as a fresh process, and prints a table. status: 0 all runs ended alike, 1 some\n"
    "failed, 125 mayfly failed, 127 no such kernel, 128+N ended by signal N.\n\n";

Result<u32> numbered(std::string_view option, const std::string& text, u32 min, u32 max) {
    Result<u64> value = parse_number(text, max);
    if (!value) return fail(std::move(value).error().about(option));
    if (*value < min) return fail(Error::invalid(fmt::format("{} {}: at least {}", option, text, min)));
    return static_cast<u32>(*value);
}

Result<BootArguments> parse_boot_words(const std::vector<std::string>& words) {
    // getopt_long moves pointers, not characters.
    std::vector<std::string> copy = words;
    std::string command = "boot";
    std::vector<char*> argv{command.data()};
    for (std::string& word : copy) argv.push_back(word.data());
    argv.push_back(nullptr);
    return parse_boot_arguments(static_cast<int>(argv.size() - 1), argv.data());
}

/// Wrong words are found before anything runs.
Result<void> check_boot_words(const std::vector<std::string>& words) {
    const BootArguments boot = TRY(parse_boot_words(words));
    if (boot.is_help) return fail(Error::invalid("BOOT-ARGS ask for help").hint("see mayfly boot --help"));
    if (!boot.timeline_json.empty() || !boot.stats_json.empty())
        return fail(Error::invalid("BOOT-ARGS write reports of their own")
                        .hint("leave --timeline-json and --stats-json out: the bench collects both"));
    const BootConfig config = TRY(boot_config(boot));
    TRY_VOID(builtin_of(config));
    return {};
}

std::string unique_name(const std::vector<Column>& columns, std::string name) {
    const auto is_taken = [&](const std::string& wanted) {
        return std::any_of(columns.begin(), columns.end(),
                           [&](const Column& column) { return column.name == wanted; });
    };
    std::string unique = name;
    for (u32 number = 2; is_taken(unique); ++number) unique = fmt::format("{} {}", name, number);
    return unique;
}

Result<Column> against_column(const std::string& what, const std::vector<std::string>& boot_words) {
    Column column;
    if (what == kQemuWord) {
        column.kind = Column::Kind::Qemu;
        const QemuMachine machine = TRY(qemu_machine(boot_words));
        column.arguments = qemu_arguments(machine);
        column.name = "QEMU microvm";
    } else {
        column.arguments = TRY(split_command(what));
        const std::string& program = column.arguments.front();
        column.name = program.substr(program.rfind('/') + 1);
    }
    Result<std::string> program = find_program(column.arguments.front());
    if (!program) return fail(std::move(program).error().about("--against"));
    column.program = std::move(*program);
    return column;
}

/// Only what QEMU's microvm can do as well, or what does not change the machine.
struct QemuWords {
    std::string initrd;
    std::string append;
    std::string memory = "128M";
    std::string cpus;
    std::string console = "stdio";
    std::string ignored;
    bool is_ignored = false;
    bool is_no_default_append = false;
};

using Q = QemuWords;

constexpr std::array kQemuOptions{
    Option<Q>{.name = "initrd", .value = "", .text = &Q::initrd},
    Option<Q>{.name = "append", .value = "", .text = &Q::append, .may_be_empty = true},
    Option<Q>{.name = "memory", .value = "", .text = &Q::memory},
    Option<Q>{.name = "cpus", .value = "", .text = &Q::cpus},
    Option<Q>{.name = "console", .value = "", .text = &Q::console},
    Option<Q>{.name = "timeout", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "exit-code", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "success", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "config-window", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "io", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "no-default-append", .flag = &Q::is_no_default_append},
    Option<Q>{.name = "timeline", .flag = &Q::is_ignored},
    Option<Q>{.name = "stats", .flag = &Q::is_ignored},
    Option<Q>{.name = "verbose", .letter = 'v', .flag = &Q::is_ignored},
};

/// mayfly tells a Linux kernel where its console is, unless the user does; QEMU does not.
void add_console(QemuMachine& machine, bool is_builtin) {
    if (is_builtin || machine.append.find("console=") != std::string::npos) return;
    machine.append += machine.append.empty() ? "console=ttyS0" : " console=ttyS0";
}

Result<void> add_columns(const BenchArguments& arguments, BenchPlan& plan) {
    Column own{Column::Kind::Mayfly, "mayfly", "/proc/self/exe", {"mayfly", "boot"}};
    own.arguments.insert(own.arguments.end(), arguments.boot_words.begin(), arguments.boot_words.end());
    plan.columns.push_back(std::move(own));
    if (arguments.against.size() >= kColumnsMax)
        return fail(Error::invalid(
            fmt::format("{} times --against; the limit is {}", arguments.against.size(), kColumnsMax - 1)));
    for (const std::string& what : arguments.against)
        plan.columns.push_back(TRY(against_column(what, arguments.boot_words)));
    if (arguments.names.size() > plan.columns.size())
        return fail(Error::invalid(fmt::format("{} times --name, but there are {} columns",
                                               arguments.names.size(), plan.columns.size())));
    std::vector<Column> named;
    for (Column& column : plan.columns) {
        const std::size_t index = named.size();
        column.name =
            unique_name(named, index < arguments.names.size() ? arguments.names[index] : column.name);
        named.push_back(std::move(column));
    }
    plan.columns = std::move(named);
    return {};
}

}  // namespace

Result<QemuMachine> qemu_machine(const std::vector<std::string>& boot_words) {
    std::vector<std::string> copy = boot_words;
    std::string command = "boot";
    std::vector<char*> argv{command.data()};
    for (std::string& word : copy) argv.push_back(word.data());
    argv.push_back(nullptr);
    QemuWords given;
    Result<option_table::Words> words =
        parse_options<Q>(kQemuOptions, static_cast<int>(argv.size() - 1), argv.data(), given);
    const bool has_other_console = given.console != "stdio" && given.console != "null";
    if (!words || !words->behind.empty() || has_other_console) {
        const std::string which = !words              ? words.error().message()
                                  : has_other_console ? fmt::format("--console {}", given.console)
                                                      : std::string("words behind a second --");
        return fail(
            Error::invalid(fmt::format("--against qemu-microvm: BOOT-ARGS have what it has no counterpart "
                                       "of: {}",
                                       which))
                .hint("write the command yourself: --against 'qemu-system-x86_64 ...'"));
    }
    const BootArguments boot = TRY(parse_boot_words(boot_words));
    const BootConfig config = TRY(boot_config(boot));
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    if (builtin != nullptr && (builtin->needs_test_device || builtin->irqchip == "none"))
        return fail(Error::invalid(
            fmt::format("--against qemu-microvm: {} needs a device of mayfly's", config.kernel)));
    QemuMachine machine;
    machine.kernel = config.kernel;
    machine.initrd = config.initrd;
    machine.append = config.append;
    machine.memory_bytes = config.memory_bytes;
    machine.cpus = config.cpus != 0 ? config.cpus : builtin != nullptr ? builtin->cpus : 1;
    machine.has_serial_output = given.console == "stdio";
    if (!given.is_no_default_append) add_console(machine, builtin != nullptr);
    return machine;
}

Result<BenchArguments> parse_bench_arguments(int argc, char** argv) {
    BenchArguments arguments;
    const bool ends_with_dashes = std::string_view(argv[argc - 1]) == "--";
    option_table::Words words = TRY(parse_options<B>(kBenchOptions, argc, argv, arguments));
    if (arguments.is_help) {
        arguments.help_text = std::string(kUsage) + print_options<B>(kBenchOptions);
        return arguments;
    }
    if (!words.plain.empty())
        return fail(Error::invalid(fmt::format("'{}' is no option of mayfly bench boot", words.plain.front()))
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
    TRY_VOID(check_boot_words(arguments.boot_words));
    TRY_VOID(add_columns(arguments, plan));
    return plan;
}

}  // namespace mayfly
