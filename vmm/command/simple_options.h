// SPDX-License-Identifier: Apache-2.0
// The command lines of the commands that take --json and nothing else: doctor and version.
#pragma once

#include <array>
#include <string>

#include "vmm/command/table/command_page.h"
#include "vmm/command/table/option_table.h"

namespace mayfly {

struct SimpleArguments {
    bool is_json = false;
    bool is_help = false;
};

inline constexpr CommandPage kDoctorPage{
    .command = "doctor",
    .summary = "show what this host's KVM can do, what slows it down, and the cure",
    .operands = "[--json]",
    .text =
        "Looks at /dev/kvm and at the host, runs a guest of a few milliseconds that measures what exits and "
        "interrupts cost here, and judges each finding: ok, note or problem.",
    .status = "0 mayfly can boot guests here, 125 it cannot."};

inline constexpr CommandPage kVersionPage{
    .command = "version",
    .summary = "print version, commit and build",
    .operands = "[--json]",
    .text =
        "Prints the version, the commit that it was built from, and with which compiler, optimisation, C "
        "library and allocator.",
    .status = "0, or 125 where stdout cannot be written."};

namespace simple_option_table {

inline constexpr std::array kOptions{
    Option<SimpleArguments>{.name = "json", .help = "print JSON", .flag = &SimpleArguments::is_json},
    Option<SimpleArguments>{
        .name = "help", .letter = 'h', .help = "print this help and exit", .flag = &SimpleArguments::is_help},
};

}  // namespace simple_option_table

/// Errors: Invalid.
Result<option_table::Words> parse_simple_arguments(int argc, char** argv, SimpleArguments& arguments);

[[nodiscard]] std::string simple_help(const CommandPage& page, std::size_t columns);

}  // namespace mayfly
