// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/command/boot_junit.h"
#include "vmm/command/boot_outcome.h"
#include "vmm/command/commands.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/report.h"
#include "vmm/machine/signals.h"
#include "vmm/os/clock.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr std::size_t kTailLines = 20;

/// What a built-in guest needs, where the user said nothing else.
void apply_builtin_defaults(const BuiltinGuest& guest, BootConfig& config) {
    config.has_test_device |= guest.needs_test_device;
    if (config.cpus == 0) config.cpus = guest.cpus;
    if (config.profile == ProfileChoice::Auto && config.irqchip == IrqchipChoice::Auto) {
        if (guest.profile == "legacy") config.profile = ProfileChoice::Legacy;
        if (guest.profile == "modern") config.profile = ProfileChoice::Modern;
        if (guest.irqchip == "none") config.irqchip = IrqchipChoice::None;
    }
}

Result<void> apply_defaults(BootConfig& config) {
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    if (builtin != nullptr) apply_builtin_defaults(*builtin, config);
    if (config.cpus == 0) config.cpus = 1;
    return {};
}

Result<void> start_clock(const BootConfig& config) {
    if (!config.timeout) return {};
    return about(start_timeout(*config.timeout), "--timeout");
}

void write_stderr(std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// Reports are an extra: failing to write one is said, and makes a good status 125. `machine` is null where
/// there was an end before there was one.
int report(const BootConfig& config, const Machine* machine, const Timeline& timeline, int status,
           const std::function<bool()>& must_hurry) {
    if (config.wants_timeline) write_stderr(timeline_table(timeline));
    Result<void> done;
    if (!config.timeline_json.empty())
        done = write_report(config.timeline_json, timeline_json(timeline, status), must_hurry);
    if (machine != nullptr && (config.wants_stats || !config.stats_json.empty())) {
        const StatsReport stats = collect_stats(*machine);
        if (config.wants_stats) write_stderr(stats_table(stats));
        if (done && !config.stats_json.empty())
            done = write_report(config.stats_json, stats_json(stats), must_hurry);
    }
    if (done) return status;
    const int failed = print_error(done.error());
    return status == 0 ? failed : status;
}

/// Guest and machine, for as long as the process lives: it ends by _exit.
struct BootRun {
    std::unique_ptr<ConsoleWatch> watch;  // null where nothing is watched
    std::unique_ptr<Machine> machine;
};

/// A stop came from outside while the machine was made: whatever failed then, that is the reason.
Ending ended_early(const StopControl& stop) {
    Ending ending = stop.ending();
    ending.message = "before the guest was started";
    return ending;
}

/// To the guest's end. `stop` outlives every thread.
Result<Ending> run_boot(const BootConfig& config, EarlyKvm& early, StopControl& stop, Timeline& timeline,
                        BootRun& run) {
    if (config.watch.needs_console()) {
        WatchHooks hooks;
        hooks.ends_when_expected = !config.exec;
        hooks.decide = [&stop](WatchVerdict verdict) {
            stop.end({verdict == WatchVerdict::Expected ? EndKind::Expected : EndKind::FailedOn, 0, {}});
        };
        hooks.must_hurry = [&stop] { return stop.is_abrupt(); };
        run.watch = TRY(ConsoleWatch::create(config.watch, hooks, timeline.phase_ns(Phase::Main)));
    }
    Result<std::unique_ptr<Machine>> machine = Machine::create(config, early, stop, timeline);
    if (!machine && stop.is_requested()) return ended_early(stop);
    run.machine = TRY(std::move(machine));
    if (run.watch != nullptr) run.machine->console_output().set_watch(run.watch.get());
    Ending ending = run.machine->run();
    if (run.watch != nullptr) run.watch->finish();
    return ending;
}

void say(const BootConfig& config, const BootOutcome& outcome, const ConsoleWatch* watch) {
    for (const std::string& line : outcome.lines) log::error(line);
    if (watch == nullptr) return;
    if (watch->log() != nullptr && watch->log()->lost_bytes() != 0)
        log::warning(fmt::format("--log {}: {} bytes of the console are not in it: {}", config.watch.log_path,
                                 watch->log()->lost_bytes(), watch->log()->why_lost()));
    if (!outcome.wants_tail) return;
    const std::vector<std::string> lines = watch->tail(kTailLines);
    std::string text = fmt::format("mayfly: the console's last lines{}\n", lines.empty() ? ": none" : ":");
    for (const std::string& line : lines) text += "  | " + line + "\n";
    write_stderr(text);
}

int write_junit_report(const BootConfig& config, const BootOutcome& outcome, const Ending* ending,
                       const ConsoleWatch* watch, const Timeline& timeline,
                       const std::function<bool()>& must_hurry) {
    const BootTimes times{.ended_wall_seconds = wall_seconds(),
                          .took_ns = monotonic_ns() - timeline.phase_ns(Phase::Main)};
    const JunitReport junit = boot_junit(config, outcome, ending, watch, times);
    const Result<void> done = write_junit(config.watch.junit_path, junit_xml(junit), must_hurry);
    if (done) return outcome.status;
    const int failed = print_error(done.error());
    return outcome.status == 0 ? failed : outcome.status;
}

}  // namespace

int boot_command(BootConfig config, EarlyKvm& early, Timeline& timeline) {
    make_write_signals_errors();
    report_bus_errors();
    // Both outlive every thread: the process ends by _exit, with console input still blocked in read(2).
    static StopControl stop;
    // The clock runs and signals count from here on: packing a root or unpacking a kernel takes its time too.
    install_signal_handlers(stop);
    BootRun run;
    Result<Ending> ending =
        start_clock(config).and_then([&] { return apply_defaults(config); }).and_then([&] {
            return run_boot(config, early, stop, timeline, run);
        });
    BootOutcome outcome = ending ? judge_boot(config, *ending, run.watch.get()) : failed_boot(ending.error());
    say(config, outcome, run.watch.get());
    const auto must_hurry = [] { return stop.is_abrupt(); };
    if (ending) outcome.status = report(config, run.machine.get(), timeline, outcome.status, must_hurry);
    if (!config.watch.junit_path.empty())
        outcome.status = write_junit_report(config, outcome, ending ? &*ending : nullptr, run.watch.get(),
                                            timeline, must_hurry);
    // The kernel takes a VM apart faster than we could; and the watch's thread may be at work.
    (void)run.machine.release();
    (void)run.watch.release();
    return outcome.status;
}

int refused_boot_command(const std::string& kernel, const std::string& junit_path, const Error& error,
                         const Timeline& timeline) {
    make_write_signals_errors();
    const int status = print_error(error);
    if (junit_path.empty()) return status;
    BootConfig config;
    config.kernel = kernel;
    config.watch.junit_path = junit_path;
    return write_junit_report(config, failed_boot(error), nullptr, nullptr, timeline, [] { return false; });
}

}  // namespace mayfly
