// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/command/commands.h"
#include "vmm/machine/machine.h"
#include "vmm/machine/report.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

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

void write_stderr(std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

/// Reports are an extra: failing to write one is said, and makes a good status 125.
int report(const BootConfig& config, const Machine& machine, const Timeline& timeline, int status) {
    if (config.wants_timeline) write_stderr(timeline_table(timeline));
    Result<void> done;
    if (!config.timeline_json.empty())
        done = write_report(config.timeline_json, timeline_json(timeline, status));
    if (config.wants_stats || !config.stats_json.empty()) {
        const StatsReport stats = collect_stats(machine);
        if (config.wants_stats) write_stderr(stats_table(stats));
        if (done && !config.stats_json.empty()) done = write_report(config.stats_json, stats_json(stats));
    }
    if (done) return status;
    const int failed = print_error(done.error());
    return status == 0 ? failed : status;
}

}  // namespace

int boot_command(BootConfig config, EarlyKvm& early, Timeline& timeline) {
    if (config.wants_timeline || !config.timeline_json.empty()) timeline.estimate_exec();
    const Result<const BuiltinGuest*> builtin = builtin_of(config);
    if (!builtin) return print_error(builtin.error());
    if (*builtin != nullptr) apply_builtin_defaults(**builtin, config);
    if (config.cpus == 0) config.cpus = 1;

    // Both outlive every thread: the process ends by _exit, with console input still blocked in read(2).
    static StopControl stop;
    Result<std::unique_ptr<Machine>> machine = Machine::create(config, early, stop, timeline);
    if (!machine) return print_error(machine.error());
    const Ending ending = (*machine)->run();
    const ExitStatus result = exit_status(ending, config.status_rules);
    if (!result.line.empty()) log::error(result.line);
    const int status = report(config, **machine, timeline, result.status);
    // The kernel takes a VM apart faster than we could.
    (void)machine->release();
    return status;
}

}  // namespace mayfly
