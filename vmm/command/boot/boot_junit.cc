// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot/boot_junit.h"

#include <fmt/format.h>

#include "vmm/text/size.h"

namespace mayfly {

namespace {

using Outcome = JunitCase::Outcome;

constexpr std::size_t kTailLines = 64;
constexpr u64 kNsPerSecond = 1'000'000'000;

void set(JunitCase& one, Outcome outcome, std::string_view type, std::string message) {
    one.outcome = outcome;
    one.type = type;
    one.message = std::move(message);
}

/// What exit_status() or an error says of it.
std::string first_line(const BootOutcome& outcome) {
    return outcome.lines.empty() ? fmt::format("status {}", outcome.status) : outcome.lines.front();
}

JunitCase machine_case(const BootConfig& config, const BootOutcome& outcome, const Ending* ending,
                       u64 took_ns) {
    JunitCase one;
    one.class_name = "mayfly.boot";
    one.name = config.kernel;
    one.time_ns = took_ns;
    if (ending == nullptr) {
        set(one, Outcome::Error, "mayfly", first_line(outcome));
        return one;
    }
    const ExitStatus own = exit_status(*ending, config.status_rules);
    switch (ending->kind) {
        case EndKind::Panic: set(one, Outcome::Failed, "panic", first_line(outcome)); break;
        case EndKind::Crash: set(one, Outcome::Failed, "crash", own.line); break;
        case EndKind::Timeout: set(one, Outcome::Failed, "timeout", own.line); break;
        case EndKind::HostError: set(one, Outcome::Error, "mayfly", own.line); break;
        case EndKind::Signal:
            set(one, Outcome::Error, "signal", fmt::format("mayfly was ended by signal {}", ending->value));
            break;
        case EndKind::Quit: set(one, Outcome::Error, "quit", "the user quit on the console"); break;
        case EndKind::ExitCode:
            if (own.status != 0)
                set(one, Outcome::Failed, "status", fmt::format("the guest's status is {}", own.status));
            break;
        case EndKind::PowerOff:
        case EndKind::Reset:
        case EndKind::Expected:
        case EndKind::SnapshotTaken:
        case EndKind::FailedOn:
        case EndKind::ProgramEnded:
        case EndKind::Unreported: break;
    }
    return one;
}

JunitCase program_case(const BootConfig& config, const Ending* ending, u64 took_ns) {
    JunitCase one;
    one.class_name = "mayfly.exec";
    one.name = config.exec->program;
    for (const std::string& argument : config.exec->arguments) one.name += " " + argument;
    if (ending != nullptr && ending->kind == EndKind::ProgramEnded) {
        one.time_ns = took_ns;
        const ExitStatus own = exit_status(*ending, config.status_rules);
        if (own.status == 0) return one;
        // Only a report that the program never ran is status 125 with a line.
        const bool has_run = own.status != kStatusFailed || own.line.empty();
        set(one, has_run ? Outcome::Failed : Outcome::Error, has_run ? "status" : "init",
            own.line.empty() ? fmt::format("the program's status is {}", own.status) : own.line);
    } else if (ending != nullptr && ending->kind == EndKind::Unreported) {
        set(one, Outcome::Error, "guest", ending->message);
    } else if (ending != nullptr && ending->kind == EndKind::Timeout) {
        set(one, Outcome::Failed, "timeout", "the program had not ended at the timeout");
    } else {
        set(one, Outcome::Skipped, {}, "the machine ended before the program did");
    }
    return one;
}

/// `watched` is null where it did not come to watching.
JunitCase expression_case(std::string_view option, const std::string& text,
                          const WatchedExpression* watched) {
    JunitCase one;
    one.class_name = fmt::format("mayfly.{}", option);
    one.name = text;
    if (watched == nullptr) {
        set(one, Outcome::Skipped, {}, "the guest did not run");
        return one;
    }
    const bool is_forbidden = option == "fail-on";
    one.time_ns = watched->seen_ns;
    if (is_forbidden && watched->is_seen) set(one, Outcome::Failed, "seen", watched->line);
    if (!is_forbidden && !watched->is_seen)
        set(one, Outcome::Failed, "missing", "was not seen on the console");
    return one;
}

}  // namespace

JunitReport boot_junit(const BootConfig& config, const BootOutcome& outcome, const Ending* ending,
                       const ConsoleWatch* watch, const BootTimes& times) {
    JunitReport report;
    report.suite = "mayfly boot " + config.kernel;
    report.time_ns = times.took_ns;
    report.started_wall_seconds = times.ended_wall_seconds - static_cast<i64>(times.took_ns / kNsPerSecond);
    report.properties = {{"kernel", config.kernel},
                         {"append", config.append},
                         {"memory", print_size(config.memory_bytes)},
                         {"cpus", fmt::format("{}", config.cpus)},
                         {"mayfly", MAYFLY_VERSION},
                         {"status", fmt::format("{}", outcome.status)}};
    report.cases.push_back(machine_case(config, outcome, ending, times.took_ns));
    if (config.exec) report.cases.push_back(program_case(config, ending, times.took_ns));
    const bool has_watched = watch != nullptr && ending != nullptr;
    for (std::size_t i = 0; i < config.watch.expect.size(); ++i)
        report.cases.push_back(
            expression_case("expect", config.watch.expect[i], has_watched ? &watch->expected()[i] : nullptr));
    for (std::size_t i = 0; i < config.watch.fail_on.size(); ++i)
        report.cases.push_back(expression_case("fail-on", config.watch.fail_on[i],
                                               has_watched ? &watch->forbidden()[i] : nullptr));
    if (watch != nullptr) report.system_out = watch->tail(kTailLines);
    return report;
}

}  // namespace mayfly
