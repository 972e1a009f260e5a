// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/progress.h"

#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/document.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

constexpr std::size_t kNameMax = 24;

void write_stderr(std::string_view text) {
    [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace

Progress::Progress(const BenchPlan& plan)
    : plan_(plan), is_terminal_(::isatty(STDERR_FILENO) == 1), started_ns_(monotonic_ns()) {}

void Progress::batch_done(u32 done, u32 total, const Run& last) {
    const std::string name = plan_.columns[last.column].name.substr(0, kNameMax);
    const std::string took = print_figure(last.exit_ns, Unit::Nanoseconds);
    if (plan_.is_verbose) {
        finish();
        write_stderr(fmt::format("mayfly: {} {}, round {}: {} after {}\n", name, kind_name(last.kind),
                                 last.round + 1, describe_end(last), took));
        return;
    }
    const u32 tenths = done * 10 / total;
    if (!is_terminal_ && tenths == tenths_told_) return;
    tenths_told_ = tenths;
    const double seconds = static_cast<double>(monotonic_ns() - started_ns_) / 1e9;
    const double left = seconds / done * (total - done);
    const std::string line = fmt::format("{:3} %, {} of {}, about {:.0f} s left; last {}: {}",
                                         done * 100 / total, done, total, left, name, took);
    if (is_terminal_) {
        write_stderr("\r\x1b[K" + line);
        has_line_ = true;
    } else {
        write_stderr("mayfly: bench: " + line + "\n");
    }
}

void Progress::finish() {
    if (has_line_) write_stderr("\r\x1b[K");
    has_line_ = false;
}

}  // namespace mayfly
