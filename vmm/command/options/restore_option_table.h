// SPDX-License-Identifier: Apache-2.0
// The options of `mayfly restore`: those of `mayfly boot` that can be chosen anew.
#pragma once

#include <array>
#include <string_view>

#include "vmm/command/options/boot_option_table.h"

namespace mayfly {

inline constexpr CommandPage kRestorePage{
    .command = "restore",
    .summary = "go on from a snapshot; the guest's verdict is the exit status",
    .operands = "[OPTIONS] DIR",
    .text =
        "DIR is a snapshot that mayfly boot --snapshot has made on this host, which has not been started "
        "anew "
        "since. Its guest goes on where it was, with streams of its own. The snapshot does not change: it "
        "may be "
        "restored any number of times, at once too.\n"
        "\n"
        "Each disk and network of the snapshot wants its --disk or --net, in their order. What a guest "
        "writes to a disk is dropped at its end.\n"
        "\n"
        "Each clone has the same state of its random number generator: nothing tells the guest yet that it "
        "is one "
        "of several.",
    .status = kBootPage.status};

namespace restore_option_table {
using A = BootArguments;

/// Never defined: a constant expression that calls it does not compile.
Option<A> no_such_option_of_boot();

/// boot's option of that name, which must exist.
consteval Option<A> of_boot(std::string_view name, const char* section = nullptr) {
    for (Option<A> option : boot_option_table::kOptions) {
        if (option.name != name) continue;
        option.section = section;
        return option;
    }
    return no_such_option_of_boot();
}

inline constexpr std::array kOptions{
    of_boot("timeout", "Machine"),
    of_boot("console", "Console"),
    of_boot("console-limit"),
    of_boot("debugcon"),
    of_boot("log"),
    of_boot("log-limit"),
    of_boot("disk", "Devices"),
    of_boot("net"),
    of_boot("io"),
    of_boot("expect", "Verdict"),
    of_boot("fail-on"),
    of_boot("exit-code"),
    of_boot("success"),
    of_boot("junit"),
    of_boot("timeline", "Measurements and help"),
    of_boot("timeline-json"),
    of_boot("stats"),
    of_boot("stats-json"),
    of_boot("verbose"),
    of_boot("help"),
};

}  // namespace restore_option_table

}  // namespace mayfly
