// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot/boot.h"

#include <cstdlib>
#include <functional>

#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include "firmware/image/refuse.h"
#include "vmm/command/boot/boot_junit.h"
#include "vmm/command/boot/boot_outcome.h"
#include "vmm/command/boot/service_notices.h"
#include "vmm/command/options/device_options.h"
#include "vmm/command/outputs/answer.h"
#include "vmm/command/outputs/boot_outputs.h"
#include "vmm/kvm/host_kind.h"
#include "vmm/loop/late_close.h"
#include "vmm/machine/lifecycle/signals.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/snapshot/restore.h"
#include "vmm/machine/snapshot/snapshotter.h"
#include "vmm/os/clock.h"
#include "vmm/os/display.h"
#include "vmm/os/terminal.h"
#include "vmm/report/report.h"
#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr std::size_t kTailLines = 20;

/// A built-in guest's requirements, unless the user chose otherwise.
void apply_builtin_defaults(const BuiltinGuest& guest, BootConfig& config) {
    config.has_test_device |= guest.needs_test_device;
    if (config.cpus == 0) config.cpus = guest.cpus;
    if (config.profile == ProfileChoice::Auto && config.irqchip == IrqchipChoice::Auto) {
        if (guest.profile == "legacy") config.profile = ProfileChoice::Legacy;
        if (guest.profile == "modern") config.profile = ProfileChoice::Modern;
        if (guest.irqchip == "none") config.irqchip = IrqchipChoice::None;
    }
}

bool is_same_file(int a, int b) {
    struct stat first {};
    struct stat second {};
    return ::fstat(a, &first) == 0 && ::fstat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

/// What mayfly has as its streams, the program is to have.
void follow_streams(ExecConfig& exec) {
    exec.has_one_output = is_same_file(STDOUT_FILENO, STDERR_FILENO);
    if (stdin_kind() != StdinKind::Foreground || ::isatty(STDOUT_FILENO) != 1) return;
    const WindowSize size = window_size(STDIN_FILENO);
    exec.terminal = {.rows = size.rows, .columns = size.columns};
    if (const char* term = std::getenv("TERM"); term != nullptr)
        exec.environment.insert(exec.environment.begin(), std::string("TERM=") + term);
}

Result<void> apply_defaults(BootConfig& config, const Snapshot* snapshot) {
    if (snapshot != nullptr) return {};
    if (config.exec) follow_streams(*config.exec);
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    if (builtin != nullptr) apply_builtin_defaults(*builtin, config);
    if (config.cpus == 0) config.cpus = 1;
    return {};
}

Result<void> start_clock(const BootConfig& config) {
    if (!config.timeout) return {};
    return about(start_timeout(*config.timeout), "--timeout");
}

bool writes_files(const BootConfig& config) {
    return config.watch.log_path.size() + config.watch.junit_path.size() + config.timeline_json.size() +
                   config.stats_json.size() !=
               0 ||
           (config.console != "stdio" && config.console != "null") || names_debugcon_file(config.debugcon) ||
           config.debugcon == "stdout" || (config.exec && !config.exec->copies_out.empty());
}

/// Failing to write a report is said, and makes a good status 125: who reads it must not take it for good.
/// The verdict of a guest that failed stays.
int write_report(const char* option, const ReportFile& file, std::string_view text, int status,
                 const std::function<bool()>& should_give_up) {
    Result<void> done = file.write(text, should_give_up);
    if (done) return status;
    const int failed = print_error(std::move(done).error().about(option));
    return status == 0 ? failed : status;
}

/// `machine` is null where there was an end before there was one.
int report(const BootConfig& config, const BootOutputs& outputs, const Machine* machine,
           const Timeline& timeline, int status, const std::function<bool()>& should_give_up) {
    if (config.wants_timeline) log::write_stderr(timeline_table(timeline, display_of(STDERR_FILENO).columns));
    int reported = status;
    if (outputs.timeline)
        reported = write_report("--timeline-json", *outputs.timeline, timeline_json(timeline, status),
                                reported, should_give_up);
    if (machine == nullptr || (!config.wants_stats && !outputs.stats)) return reported;
    const StatsReport stats = collect_stats(*machine);
    if (config.wants_stats) log::write_stderr(stats_table(stats, display_of(STDERR_FILENO).columns));
    if (outputs.stats)
        reported = write_report("--stats-json", *outputs.stats, stats_json(stats), reported, should_give_up);
    return reported;
}

/// Guest and machine, for as long as the process lives: it ends by _exit.
struct BootRun {
    std::unique_ptr<ConsoleWatch> watch;  // null where nothing is watched
    std::unique_ptr<Machine> machine;
    std::unique_ptr<Snapshotter> snapshotter;  // null where no snapshot is wanted
    std::unique_ptr<Snapshot> origin;          // what the machine is to be made of; null: its options
    BootOutputs outputs;
    std::unique_ptr<ServiceNotices> service;  // null where no service manager is told
};

/// A stop came from outside while the machine was made: whatever failed then, that is the reason.
Ending ended_early(const StopControl& stop) {
    Ending ending = stop.ending();
    if (ending.message.empty()) ending.message = "before the guest was started";
    return ending;
}

OutputFds output_fds(const BootConfig& config, const BootOutputs& outputs) {
    const bool has_stdout = config.console == "stdio";
    // stdout is the program's; the kernel's console is for users who want to know more.
    const int stdio = !config.exec ? STDOUT_FILENO : log::is_verbose() ? STDERR_FILENO : -1;
    OutputFds fds{.console = has_stdout ? stdio : outputs.console.get(), .debug = outputs.debugcon.get()};
    if (config.debugcon == "stdout" && fds.console != STDOUT_FILENO) fds.debug = STDOUT_FILENO;
    if (config.debugcon == "stderr") fds.debug = STDERR_FILENO;
    return fds;
}

/// To the guest's end. `stop` outlives every thread.
Result<Ending> run_boot(const BootConfig& config, StopControl& stop, Timeline& timeline, BootRun& run) {
    if (run.outputs.error()) return fail(*run.outputs.error());
    UniqueFd log;
    if (config.watch.needs_console()) {
        WatchHooks hooks;
        hooks.ends_when_expected = !config.exec;
        hooks.decide = [&stop](WatchVerdict verdict) {
            stop.end({verdict == WatchVerdict::Expected ? EndKind::Expected : EndKind::FailedOn, 0, {}});
        };
        hooks.should_give_up = [&stop] { return stop.is_abrupt(); };
        run.watch = TRY(ConsoleWatch::create(config.watch, hooks, timeline.phase_ns(Phase::Main)));
        if (!config.watch.log_path.empty()) log = TRY(open_log(config.watch.log_path));
    }
    if (config.snapshot) run.snapshotter = TRY(Snapshotter::create(config, MAYFLY_VERSION, stop));
    const OutputFds fds = output_fds(config, run.outputs);
    Result<std::unique_ptr<Machine>> machine =
        run.origin != nullptr ? restore_machine(std::move(run.origin), config, fds, stop, timeline)
                              : Machine::create(config, fds, stop, timeline);
    if (!machine && stop.is_requested()) return ended_early(stop);
    run.machine = TRY(std::move(machine));
    if (log.valid()) {
        TRY_VOID(empty_log(log, config.watch.log_path));
        run.watch->set_log(config.watch, std::move(log));
    }
    if (run.watch != nullptr) run.machine->set_watch(run.watch.get());
    if (run.service != nullptr) run.machine->set_on_running([&run] { run.service->on_running(); });
    if (run.snapshotter != nullptr) TRY_VOID(run.snapshotter->start(*run.machine));
    Ending ending = run.machine->run();
    if (run.snapshotter != nullptr) run.snapshotter->finish();
    if (run.watch != nullptr) run.watch->finish();
    return ending;
}

void say(const BootConfig& config, const BootOutcome& outcome, const BootRun& run) {
    const ConsoleWatch* watch = run.watch.get();
    for (const std::string& line : outcome.lines) log::error(line);
    const u64 cut_bytes = run.machine != nullptr ? run.machine->console_output().cut_bytes() : 0;
    if (cut_bytes != 0)
        log::warning(
            fmt::format("--console {}: {} bytes of the console are not in it: --console-limit {} was reached",
                        config.console, cut_bytes, print_size(*config.console_max_bytes)));
    if (watch == nullptr) return;
    if (watch->log() != nullptr && watch->log()->lost_bytes() != 0)
        log::warning(fmt::format("--log {}: {} bytes of the console are not in it: {}", config.watch.log_path,
                                 watch->log()->lost_bytes(), watch->log()->why_lost()));
    if (!outcome.wants_tail) return;
    const std::vector<std::string> lines = watch->tail(kTailLines);
    std::string text = fmt::format("mayfly: the console's last lines{}\n", lines.empty() ? ": none" : ":");
    for (const std::string& line : lines) text += "  | " + line + "\n";
    log::write_stderr(text);
}

/// Who reads a good status counts on a snapshot.
void judge_snapshot(const Snapshotter& snapshotter, BootOutcome& outcome) {
    if (snapshotter.facts()) {
        const SnapshotFacts& facts = *snapshotter.facts();
        log::info(fmt::format(
            "the snapshot has {} KiB of the guest's memory and {} bytes of state; the machine "
            "stood still for {} us, and it took {} us",
            facts.data_bytes >> 10, facts.state_bytes, facts.paused_ns / 1000, facts.took_ns / 1000));
        return;
    }
    outcome.lines.push_back(snapshotter.why_none());
    if (outcome.status == 0) outcome.status = kStatusFailed;
}

int write_junit_report(const ReportFile& file, const BootConfig& config, const BootOutcome& outcome,
                       const Ending* ending, const ConsoleWatch* watch, const Timeline& timeline,
                       const std::function<bool()>& should_give_up) {
    const BootTimes times{.ended_wall_seconds = wall_seconds(),
                          .took_ns = monotonic_ns() - timeline.phase_ns(Phase::Main)};
    const JunitReport junit = boot_junit(config, outcome, ending, watch, times);
    return write_report("--junit", file, junit_xml(junit), outcome.status, should_give_up);
}

}  // namespace

int boot_command(const BootArguments& arguments, BootConfig config, Timeline& timeline,
                 std::unique_ptr<Snapshot> origin) {
    make_write_signals_errors();
    // Both outlive every thread: the process ends by _exit, with console input still blocked in read(2).
    static StopControl stop;
    // A signal that is for the snapshot may come at once.
    const Result<void> armed =
        config.snapshot ? stop.snapshot().arm(config.snapshot->moment) : Result<void>();
    // The clock runs and signals count from here on: packing a root or unpacking a kernel takes its time too.
    install_signal_handlers(stop);
    BootRun run;
    run.origin = std::move(origin);
    run.service = ServiceNotices::connect(config);
    if (config.exec) config.exec->tells_start = run.service != nullptr;
    if (writes_files(config)) run.outputs = BootOutputs::open(arguments);
    if (config.exec && !run.outputs.packed.empty()) config.exec->outputs = &run.outputs.packed;
    Result<Ending> ending = Result<void>(armed)
                                .and_then([&] { return start_clock(config); })
                                .and_then([&] { return apply_defaults(config, run.origin.get()); })
                                .and_then([&] { return run_boot(config, stop, timeline, run); });
    BootOutcome outcome = ending ? judge_boot(config, *ending, run.watch.get()) : failed_boot(ending.error());
    if (ending && run.snapshotter != nullptr) judge_snapshot(*run.snapshotter, outcome);
    say(config, outcome, run);
    if (run.service != nullptr)
        run.service->on_end(outcome.status, outcome.lines.empty() ? std::string() : outcome.lines.front());
    if (ending && run.machine != nullptr)
        for (const std::string& line : run.machine->untaken_devices(*ending)) log::warning(line);
    if (ending && ending->kind == EndKind::Timeout && config.exec && run.machine != nullptr &&
        detect_flavour() == KvmFlavour::Pvm)
        log::warning(
            "this host's KVM interprets guest kernels, hundreds of times slower than a processor "
            "runs them: mayfly doctor measures it");
    if (run.outputs.junit && run.outputs.packed.was_refused("--junit")) run.outputs.junit.reset();
    const auto should_give_up = [] { return stop.is_abrupt(); };
    if (ending)
        outcome.status =
            report(config, run.outputs, run.machine.get(), timeline, outcome.status, should_give_up);
    if (run.outputs.junit)
        outcome.status = write_junit_report(*run.outputs.junit, config, outcome, ending ? &*ending : nullptr,
                                            run.watch.get(), timeline, should_give_up);
    // The kernel takes a VM apart faster than we could, and later; and the watch's thread may be at work.
    if (run.machine != nullptr) close_late(run.machine->vm().fd());
    (void)run.snapshotter.release();
    (void)run.machine.release();
    (void)run.watch.release();
    (void)run.outputs.console.release();
    (void)run.outputs.debugcon.release();
    return outcome.status;
}

int restore_command(const BootArguments& arguments, Timeline& timeline) {
    Result<BootConfig> asked = restore_config(arguments);
    if (!asked) return refused_boot_command(arguments, asked.error(), timeline);
    Result<Snapshot> origin = load_for_here(arguments.origin);
    if (!origin) return refused_boot_command(arguments, origin.error(), timeline);
    Result<BootConfig> config = restored_config(origin->machine.config, *asked);
    if (!config) return refused_boot_command(arguments, config.error(), timeline);
    return boot_command(arguments, std::move(*config), timeline,
                        std::make_unique<Snapshot>(std::move(*origin)));
}

int refused_boot_command(const BootArguments& arguments, const Error& error, const Timeline& timeline) {
    make_write_signals_errors();
    const int status = print_error(error);
    const BootOutputs outputs = BootOutputs::open_junit(arguments);
    if (outputs.error()) (void)print_error(*outputs.error());
    if (!outputs.junit) return status;
    BootConfig config;
    config.kernel = arguments.origin.empty() ? arguments.kernel : arguments.origin;
    return write_junit_report(*outputs.junit, config, failed_boot(error), nullptr, nullptr, timeline,
                              [] { return false; });
}

}  // namespace mayfly
