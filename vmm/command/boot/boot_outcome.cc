// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot/boot_outcome.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/machine/boot/linux_command_line.h"
#include "vmm/text/size.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

constexpr std::size_t kQuotedBytesMax = 200;

/// The beginning of UTF-8 text, not cut within a character.
std::string beginning(const std::string& text) {
    if (text.size() <= kQuotedBytesMax) return text;
    std::size_t end = kQuotedBytesMax;
    while (end > 0 && (static_cast<u8>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end) + "...";
}

/// Mayfly was told from outside, or cannot, let the guest come to what was expected of it.
bool may_miss_expected(EndKind kind) {
    return kind == EndKind::Signal || kind == EndKind::Quit || kind == EndKind::HostError ||
           kind == EndKind::SnapshotTaken;
}

/// The guest came to its end by itself, and not by a crash, which its status must not hide.
bool is_ended_by_guest(EndKind kind) {
    return kind == EndKind::ExitCode || kind == EndKind::PowerOff || kind == EndKind::Reset ||
           kind == EndKind::ProgramEnded || kind == EndKind::Unreported;
}

/// Linux looked for a root, and the user gave it nothing that could hold one.
bool lacks_root(const BootConfig& config, const Ending& ending) {
    return ending.kind == EndKind::Panic && config.initrds.empty() && config.disks.empty() && !config.exec &&
           ending.panic_words.find("Unable to mount root fs") != std::string::npos;
}

/// What cures a panic, in brackets; empty where nothing of ours does.
std::string cure(const BootConfig& config, const Ending& ending) {
    if (ending.kind != EndKind::Panic) return {};
    const auto says = [&](std::string_view words) {
        return ending.panic_words.find(words) != std::string::npos;
    };
    if (lacks_root(config, ending)) return " (it has no root: neither --initrd, --disk nor --exec was given)";
    if (config.exec && says("Unable to mount root fs") && has_parameter(config.append, "rdinit"))
        return " (the rdinit= of --append takes the place of mayfly's init, and does not exist)";
    if (config.exec && says("Unable to mount root fs"))
        return " (it did not unpack its initramfs: too little --memory, or no CONFIG_BLK_DEV_INITRD)";
    if (says("no killable processes") || says("deadlocked on memory"))
        return fmt::format(" (--memory {} is too little for it)", print_size(config.memory_bytes));
    return {};
}

void judge_watch(const ConsoleWatch& watch, EndKind kind, BootOutcome& outcome) {
    for (const WatchedExpression& forbidden : watch.forbidden()) {
        if (!forbidden.is_seen) continue;
        outcome.lines.push_back(fail_on_line(forbidden));
        outcome.wants_tail = true;
        // On the console's last words, with which the guest has ended by itself.
        if (is_ended_by_guest(kind)) outcome.status = kStatusWatchFailed;
        return;
    }
    if (may_miss_expected(kind)) return;
    for (const WatchedExpression& expected : watch.expected()) {
        if (expected.is_seen) continue;
        outcome.lines.push_back(fmt::format("--expect '{}' was not seen", visible(expected.text)));
        outcome.wants_tail = true;
        if (outcome.status == 0) outcome.status = kStatusWatchFailed;
    }
}

}  // namespace

std::string fail_on_line(const WatchedExpression& forbidden) {
    return fmt::format("--fail-on '{}' matched: {}", visible(forbidden.text), beginning(forbidden.line));
}

BootOutcome judge_boot(const BootConfig& config, const Ending& ending, const ConsoleWatch* watch) {
    const ExitStatus own = exit_status(ending, config.status_rules);
    BootOutcome outcome;
    outcome.status = own.status;
    if (!own.line.empty()) outcome.lines.push_back(own.line);
    if (!outcome.lines.empty()) outcome.lines.back() += cure(config, ending);
    if (watch != nullptr) judge_watch(*watch, ending.kind, outcome);
    return outcome;
}

BootOutcome failed_boot(const Error& error) {
    BootOutcome outcome;
    outcome.status = error.kind() == ErrorKind::NotFound ? kStatusNotFound : kStatusFailed;
    outcome.lines.push_back(error.message());
    return outcome;
}

}  // namespace mayfly
