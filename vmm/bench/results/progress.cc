// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/results/progress.h"

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/results/document.h"
#include "vmm/os/clock.h"
#include "vmm/text/log.h"

namespace mayfly {

namespace {

constexpr std::size_t kNameMax = 24;

}  // namespace

Progress::Progress(const BenchPlan& plan)
    : plan_(plan), display_(display_of(STDERR_FILENO)), started_ns_(monotonic_ns()) {}

std::string Progress::describe(const Progression& progression, RunKind kind, u64 took_ns) {
    const auto [done, total] = progression;
    if (kind != RunKind::Timed) return fmt::format("{} {} of {}", kind_name(kind), done, total);
    const double seconds = static_cast<double>(took_ns) / 1e9;
    return fmt::format("{:3} %, {} of {} runs, about {:.0f} s left", u64{done} * 100 / total, done, total,
                       seconds / done * (total - done));
}

void Progress::tell_each(const Progression& progression, std::span<const Run> batch) {
    u32 number = progression.done - static_cast<u32>(batch.size());
    for (const Run& run : batch) {
        ++number;
        const std::string which =
            run.kind == RunKind::Bare ? std::string() : fmt::format(" {} of {}", number, progression.total);
        log::write_stderr(fmt::format(
            "mayfly: {} {}{}, round {}: {} after {}\n", plan_.columns[run.column].name, kind_name(run.kind),
            which, run.round + 1, describe_end(run), print_figure(run.exit_ns, Unit::Nanoseconds)));
    }
}

void Progress::batch_done(const Progression& progression, std::span<const Run> batch) {
    if (plan_.is_verbose) return tell_each(progression, batch);
    const Run& last = batch.back();
    if (last.kind == RunKind::Bare) return;
    if (last.kind == RunKind::WarmUp) started_ns_ = monotonic_ns();
    const auto tenths = static_cast<u32>(u64{progression.done} * 10 / progression.total);
    if (!display_.has_escapes && (last.kind != RunKind::Timed || tenths == tenths_printed_)) return;
    tenths_printed_ = tenths;
    const std::string line = fmt::format(
        "{}; last {}: {}", describe(progression, last.kind, monotonic_ns() - started_ns_),
        plan_.columns[last.column].name.substr(0, kNameMax), print_figure(last.exit_ns, Unit::Nanoseconds));
    if (display_.has_escapes) {
        // A line that is longer than the terminal would not be written over.
        log::write_stderr("\r\x1b[K" + line.substr(0, display_.columns - 1));
        has_line_ = true;
    } else {
        log::write_stderr("mayfly: bench: " + line + "\n");
    }
}

void Progress::finish() {
    if (has_line_) log::write_stderr("\r\x1b[K");
    has_line_ = false;
}

}  // namespace mayfly
