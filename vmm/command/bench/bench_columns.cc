// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_columns.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/bench/results/words.h"
#include "vmm/command/bench/bench_qemu.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/process/program_path.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kColumnsMax = 32;
constexpr int kStatusMax = 255;
constexpr const char* kOwnProgram = "/proc/self/exe";
constexpr std::string_view kQemuWord = "qemu-microvm";

/// Wrong words are found before anything runs.
Result<void> check_boot_words(const std::vector<std::string>& words) {
    const BootArguments boot = TRY(bench_boot_arguments(words));
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

std::vector<std::string> substituted(const std::vector<std::string>& words,
                                     std::span<const Setting> settings) {
    std::vector<std::string> list;
    list.reserve(words.size());
    for (const std::string& word : words) list.push_back(substitute(word, settings));
    return list;
}

Result<std::string> program_of(const std::string& word, const std::string& option) {
    Result<std::string> program = find_program(word);
    if (!program) return fail(std::move(program).error().about("--" + option));
    return program;
}

/// One thing to measure, before its parameters have values.
struct Template {
    Peer from;                       ///< no option: it is the first
    std::vector<std::string> words;  ///< of a command, or BOOT-ARGS
    std::string name;                ///< --name, or empty
    std::string prepare;
    std::optional<int> status;    ///< what is expected
    bool has_own_status = false;  ///< and it was said of this one alone

    [[nodiscard]] bool is_qemu() const { return from.option == "against" && from.value == kQemuWord; }
    [[nodiscard]] bool is_command() const { return from.option == "against" && !is_qemu(); }

    [[nodiscard]] bool uses(const Parameter& parameter) const {
        const auto is_mentioned_in = [&](const std::string& text) { return mentions(text, parameter.name); };
        return is_mentioned_in(from.value) || is_mentioned_in(prepare) ||
               std::any_of(words.begin(), words.end(), is_mentioned_in);
    }

    [[nodiscard]] Result<Column> column(std::span<const Setting> settings) const {
        Column column;
        column.settings.assign(settings.begin(), settings.end());
        column.prepare = substitute(prepare, settings);
        column.successes = {status.value_or(0)};
        std::vector<std::string> with_values = substituted(words, settings);
        std::string usual_name;
        if (is_command()) {
            column.arguments = std::move(with_values);
            column.program = TRY(program_of(column.arguments.front(), from.option));
            usual_name = column.arguments.front().substr(column.arguments.front().rfind('/') + 1);
        } else if (is_qemu()) {
            column.kind = Column::Kind::Qemu;
            column.arguments = qemu_arguments(TRY(bench_qemu_machine(with_values)));
            column.program = TRY(program_of(column.arguments.front(), from.option));
            if (!has_own_status) column.successes = TRY(bench_qemu_statuses(with_values, status.value_or(0)));
            column.boot_words = std::move(with_values);
            usual_name = "QEMU microvm";
        } else {
            TRY_VOID(become_mayfly(column, std::move(with_values)));
            usual_name = from.option.empty() ? "mayfly" : from.value;
        }
        column.name = substitute(name.empty() ? usual_name : name, settings);
        for (const Setting& setting : settings) {
            if (!mentions(name.empty() ? usual_name : name, setting.name))
                column.name += fmt::format(" {}={}", setting.name, setting.value);
        }
        return column;
    }

  private:
    Result<void> become_mayfly(Column& column, std::vector<std::string> boot_words) const {
        column.kind = Column::Kind::Mayfly;
        column.program = kOwnProgram;
        column.arguments = {"mayfly", "boot"};
        if (from.option == "vs-binary") {
            column.program = TRY(program_of(substitute(from.value, column.settings), from.option));
            column.arguments.front() = column.program;
        }
        Result<void> checked = check_boot_words(boot_words);
        if (!checked && from.option == "vs")
            return fail(std::move(checked).error().about(fmt::format("--vs '{}'", from.value)));
        TRY_VOID(checked);
        column.arguments.insert(column.arguments.end(), boot_words.begin(), boot_words.end());
        column.boot_words = std::move(boot_words);
        return {};
    }
};

/// The value of an option that is given once for all of `count` templates, or once for each. Null: not given.
Result<const std::string*> value_for(const char* option, const std::vector<std::string>& values,
                                     std::size_t index, std::size_t count) {
    if (values.empty()) return nullptr;
    if (values.size() == 1) return &values.front();
    if (values.size() == count) return &values[index];
    return fail(Error::invalid(fmt::format("{} times {}, but {} are measured", values.size(), option, count))
                    .hint("give it once, or once for each"));
}

Result<std::vector<std::string>> words_of(const Peer& from, const BenchArguments& arguments) {
    if (from.option == "vs" || (from.option == "against" && from.value != kQemuWord)) {
        Result<std::vector<std::string>> words = split_command(from.value);
        if (words) return words;
        Error error = std::move(words).error().about("--" + from.option);
        if (from.option == "against") error = std::move(error).hint("quote it, or begin with: sh -c");
        return fail(std::move(error));
    }
    return arguments.boot_words;
}

Result<std::vector<Template>> templates_of(const BenchArguments& arguments) {
    const std::size_t count = arguments.peers.size() + 1;
    if (arguments.names.size() > count)
        return fail(Error::invalid(
            fmt::format("{} times --name, but there are {} columns", arguments.names.size(), count)));
    std::vector<Template> list;
    for (std::size_t i = 0; i < count; ++i) {
        Template one;
        if (i != 0) one.from = arguments.peers[i - 1];
        one.words = TRY(words_of(one.from, arguments));
        if (i < arguments.names.size()) one.name = arguments.names[i];
        const std::string* prepare = TRY(value_for("--prepare", arguments.prepare, i, count));
        if (prepare != nullptr) one.prepare = *prepare;
        const std::string* status = TRY(value_for("--expect-status", arguments.expected, i, count));
        if (status != nullptr) {
            Result<u64> number = parse_number(*status, kStatusMax);
            if (!number) return fail(std::move(number).error().about("--expect-status"));
            one.status = static_cast<int>(*number);
            one.has_own_status = arguments.expected.size() > 1;
        }
        list.push_back(std::move(one));
    }
    return list;
}

Result<std::vector<Parameter>> parameters_of(const BenchArguments& arguments,
                                             const std::vector<Template>& templates) {
    std::vector<Parameter> list;
    for (const std::string& text : arguments.parameters) {
        Parameter parameter = TRY(Parameter::parse(text));
        const auto is_same = [&](const Parameter& other) { return other.name == parameter.name; };
        if (std::any_of(list.begin(), list.end(), is_same))
            return fail(Error::invalid(fmt::format("two times --parameter {}", parameter.name))
                            .hint("one list has all of its values"));
        const auto uses_parameter = [&](const Template& one) { return one.uses(parameter); };
        if (std::none_of(templates.begin(), templates.end(), uses_parameter))
            return fail(Error::invalid(
                fmt::format("--parameter {0}: no {{{0}}} in BOOT-ARGS, --against, --vs, --vs-binary "
                            "or --prepare",
                            parameter.name)));
        list.push_back(std::move(parameter));
    }
    return list;
}

}  // namespace

Result<std::vector<Column>> bench_columns(const BenchArguments& arguments) {
    const std::vector<Template> templates = TRY(templates_of(arguments));
    const std::vector<Parameter> parameters = TRY(parameters_of(arguments, templates));
    std::vector<Column> columns;
    for (const Template& one : templates) {
        std::vector<Parameter> used;
        for (const Parameter& parameter : parameters) {
            if (one.uses(parameter)) used.push_back(parameter);
        }
        for (const std::vector<Setting>& settings : TRY(combinations(used, kColumnsMax))) {
            Column column = TRY(one.column(settings));
            column.name = unique_name(columns, column.name);
            columns.push_back(std::move(column));
        }
    }
    if (columns.size() > kColumnsMax)
        return fail(
            Error::invalid(fmt::format("{} columns are asked for by --against, --vs, --vs-binary and "
                                       "--parameter; the limit is {}",
                                       columns.size(), kColumnsMax)));
    return columns;
}

}  // namespace mayfly
