// SPDX-License-Identifier: Apache-2.0
// Ending: why a machine stopped, and the exit status that follows from it.
//
// The statuses are a contract that scripts depend on: 0-123 the guest's own verdict, 124 timeout, 125 mayfly
// could not do its part, 126 the guest crashed, 127 no such kernel, 128+N ended by signal N. Where our init
// runs a program, its status or 128+N takes the place of the guest's verdict.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "vmm/error/ints.h"

namespace mayfly {

enum class EndKind : u8 {
    ExitCode,  ///< exit port; value is what was written
    PowerOff,
    Reset,
    Panic,          ///< pvpanic, or the guest said so to KVM
    Crash,          ///< triple fault, emulation failure, an exit nobody handles; the message says which
    Timeout,        ///< value: the limit in milliseconds
    Signal,         ///< value: the signal's number
    Quit,           ///< Ctrl-A x on the console
    HostError,      ///< the host could not go on; the message says why
    Expected,       ///< every --expect expression has matched on the console
    FailedOn,       ///< a --fail-on expression has matched on the console
    ProgramEnded,   ///< our init's report; value: the word of firmware/init/report.h
    SnapshotTaken,  ///< and the machine was to end then
    Unreported,     ///< powered off or reset without that report; the message says of which program
};

struct Ending {
    EndKind kind = EndKind::PowerOff;
    u64 value = 0;
    std::string message;  ///< for Crash, HostError and Unreported; for Timeout, the moment, if not while the
                          ///< guest ran
    std::string panic_words =
        {};  ///< the guest's own, where it panicked and then ended for that reason or hung
};

enum class ExitCodeRule : u8 {
    Raw,   ///< the value written
    Qemu,  ///< value << 1 | 1, as isa-debug-exit does
};

struct StatusRules {
    ExitCodeRule exit_code = ExitCodeRule::Raw;
    std::optional<u64> success;  ///< this status counts as 0
};

struct ExitStatus {
    int status = 0;
    std::string line;  ///< what to say on stderr; may be empty
};

constexpr int kStatusVerdictMax = 123;
constexpr int kStatusWatchFailed = 1;
constexpr int kStatusTimeout = 124;
constexpr int kStatusFailed = 125;
constexpr int kStatusCrashed = 126;
constexpr int kStatusNotFound = 127;
constexpr int kStatusSignalBase = 128;

/// Facts about a guest besides its ending.
struct GuestFacts {
    bool has_panic_mark = false;              ///< Linux says by the reset flag that a panic made it reset
    std::optional<std::string_view> program;  ///< what our init was to run
};

/// The meaning of the guest's end: a reset with the mark is a panic, and a guest that ends without its
/// program's report has failed.
[[nodiscard]] Ending resolve_ending(Ending ending, const GuestFacts& facts);

/// A guest's value that does not fit 0-123 becomes 123, never 0, and the line says so.
[[nodiscard]] ExitStatus exit_status(const Ending& ending, const StatusRules& rules);

}  // namespace mayfly
