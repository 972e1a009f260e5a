// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/lifecycle/ending.h"

#include <csignal>
#include <cstring>

#include <fmt/format.h>

#include "firmware/init/report.h"

namespace mayfly {

namespace {

ExitStatus verdict(u64 written, const StatusRules& rules) {
    const u64 value = rules.exit_code == ExitCodeRule::Qemu ? (written << 1 | 1) & 0xff : written;
    if (rules.success && value == *rules.success) return {0, {}};
    if (value <= kStatusVerdictMax) return {static_cast<int>(value), {}};
    return {kStatusVerdictMax, fmt::format("the guest's exit value {} does not fit 0-{}; status {}", value,
                                           kStatusVerdictMax, kStatusVerdictMax)};
}

std::string with_words(std::string line, std::string_view words) {
    return words.empty() ? line : fmt::format("{}: {}", line, words);
}

std::string timeout_line(const Ending& ending) {
    const double seconds = static_cast<double>(ending.value) / 1000;
    if (!ending.message.empty()) return fmt::format("timeout: {} s were over {}", seconds, ending.message);
    std::string line = fmt::format("timeout: the guest did not end within {} s", seconds);
    return ending.panic_words.empty() ? line : with_words(line + "; it has panicked", ending.panic_words);
}

ExitStatus program_status(u32 word) {
    const std::optional<InitReport> report = decode_init_report(word);
    if (!report) return {kStatusFailed, fmt::format("{:#x} is not a report of mayfly's init", word)};
    switch (report->kind) {
        case InitReport::Kind::Exited: return {report->value, {}};
        case InitReport::Kind::Signalled:
            // Ctrl-C, and a reader who has seen enough, do not surprise the person at the terminal: shells
            // say nothing of them either.
            if (report->value == SIGINT || report->value == SIGPIPE)
                return {kStatusSignalBase + report->value, {}};
            return {kStatusSignalBase + report->value,
                    fmt::format("the program was killed by signal {}", report->value)};
        case InitReport::Kind::InitFailed:
            return {kStatusFailed, fmt::format("mayfly's init could not {}: {}", to_string(report->step),
                                               std::strerror(report->value))};
    }
    return {kStatusFailed, {}};
}

}  // namespace

Ending resolve_ending(Ending ending, const GuestFacts& facts) {
    if (ending.kind == EndKind::Reset && facts.has_panic_mark) ending.kind = EndKind::Panic;
    if (!facts.program) return ending;
    if (ending.kind == EndKind::ExitCode) ending.kind = EndKind::ProgramEnded;
    if (ending.kind == EndKind::PowerOff || ending.kind == EndKind::Reset)
        return {EndKind::Unreported, 0,
                fmt::format("the guest ended without the status of {}", *facts.program)};
    return ending;
}

ExitStatus exit_status(const Ending& ending, const StatusRules& rules) {
    switch (ending.kind) {
        case EndKind::ExitCode: return verdict(ending.value, rules);
        case EndKind::PowerOff:
        case EndKind::Reset: return {0, {}};
        case EndKind::Panic: return {kStatusCrashed, with_words("the guest panicked", ending.panic_words)};
        case EndKind::Crash: return {kStatusCrashed, ending.message};
        case EndKind::Timeout: return {kStatusTimeout, timeout_line(ending)};
        case EndKind::Signal: return {kStatusSignalBase + static_cast<int>(ending.value), {}};
        case EndKind::Quit: return {kStatusSignalBase + 2, {}};  // like Ctrl-C: SIGINT
        case EndKind::HostError:
        case EndKind::Unreported: return {kStatusFailed, ending.message};
        case EndKind::Expected:
        case EndKind::SnapshotTaken: return {0, {}};
        case EndKind::FailedOn: return {kStatusWatchFailed, ending.message};
        case EndKind::ProgramEnded: return program_status(static_cast<u32>(ending.value));
    }
    return {kStatusFailed, {}};
}

}  // namespace mayfly
