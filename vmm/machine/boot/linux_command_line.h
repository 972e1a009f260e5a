// SPDX-License-Identifier: Apache-2.0
// The command line of a Linux guest: the words that mayfly puts before the user's, and why.
//
// The user's own words come last, so that they win: Linux takes the last of a parameter's values, and what
// follows "--" is init's.
// Thread: any; values only.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "vmm/machine/plan/config.h"

namespace mayfly {

/// Linux's COMMAND_LINE_SIZE on x86, less its NUL.
constexpr std::size_t kLinuxCommandLineMax = 2047;

struct DefaultWord {
    std::string_view word;
    std::string_view why;
    std::string_view unless = {};  ///< left out where the user has this parameter
};
/// The words that every Linux guest gets without --no-default-append. Counts are of Debian's 6.12 cloud
/// kernel, to /init with the virtio console.
[[nodiscard]] std::span<const DefaultWord> linux_default_words();

/// The initcalls that --quick-linux leaves out of a kernel's start.
struct QuickWord {
    std::string_view initcall;
    std::string_view loss;  ///< what programs then lack
};
[[nodiscard]] std::span<const QuickWord> linux_quick_words();

/// After panic=-1 a panic resets the machine like a reboot; "reboot=panic_warm" makes it first leave this
/// word at this place, where a PC's firmware would look for it (kernel/reboot.c, arch/x86/kernel/reboot.c).
constexpr u64 kResetFlagAddress = 0x472;
constexpr u16 kResetFlagPanic = 0x1234;

struct LinuxCommandLine {
    std::string text;
    bool has_defaults = false;  ///< also false where they did not fit
    bool marks_panics = false;  ///< kResetFlagAddress tells a panic from a reboot
};

struct LinuxConsole {
    ConsoleDevice device = ConsoleDevice::Serial;
    bool has_early = false;  ///< the machine has an EarlyConsole
};

/// `console` is the machine's, which is named unless the user names one. `init` is the path of our init, or
/// empty. A line that is still too long is the user's alone, and the loader refuses it.
[[nodiscard]] LinuxCommandLine linux_command_line(const BootConfig& config, LinuxConsole console,
                                                  std::string_view init, bool is_verbose);

/// Whether one of the words of `line`, up to a "--", is `key` or begins with `key` and '='. Parsed as in
/// Linux: with quotes, and '-' equal to '_'.
[[nodiscard]] bool has_parameter(std::string_view line, std::string_view key);

/// The syslog level, 0 to 8, from which the words of `line` keep the kernel's messages off its console.
[[nodiscard]] int linux_log_level(std::string_view line);

}  // namespace mayfly
