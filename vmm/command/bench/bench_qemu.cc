// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_qemu.h"

#include <array>

#include <fmt/format.h>

#include "vmm/command/table/option_table.h"
#include "vmm/machine/boot/guest_images.h"

namespace mayfly {

namespace {

/// Only what QEMU's microvm can do as well, or what does not change the machine.
struct QemuWords {
    std::vector<std::string> initrds;
    std::string append;
    std::string memory = "128M";
    std::string cpus;
    std::string console = "stdio";
    std::string ignored;
    bool is_ignored = false;
    bool omits_default_append = false;
};

using Q = QemuWords;

constexpr std::array kQemuOptions{
    Option<Q>{.name = "initrd", .value = "", .list = &Q::initrds},
    Option<Q>{.name = "append", .value = "", .text = &Q::append, .may_be_empty = true},
    Option<Q>{.name = "memory", .value = "", .text = &Q::memory},
    Option<Q>{.name = "cpus", .value = "", .text = &Q::cpus},
    Option<Q>{.name = "console", .value = "", .text = &Q::console},
    Option<Q>{.name = "timeout", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "exit-code", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "success", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "config-window", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "io", .value = "", .text = &Q::ignored},
    Option<Q>{.name = "no-default-append", .flag = &Q::omits_default_append},
    Option<Q>{.name = "timeline", .flag = &Q::is_ignored},
    Option<Q>{.name = "stats", .flag = &Q::is_ignored},
    Option<Q>{.name = "verbose", .letter = 'v', .flag = &Q::is_ignored},
};

/// mayfly tells a Linux kernel where its console is, unless the user does; QEMU does not.
void add_console(QemuMachine& machine, bool is_builtin) {
    if (is_builtin || machine.append.find("console=") != std::string::npos) return;
    machine.append += machine.append.empty() ? "console=ttyS0" : " console=ttyS0";
}

}  // namespace

Result<BootArguments> bench_boot_arguments(const std::vector<std::string>& words) {
    // getopt_long moves pointers, not characters.
    std::vector<std::string> copy = words;
    std::string command = "boot";
    std::vector<char*> argv{command.data()};
    for (std::string& word : copy) argv.push_back(word.data());
    argv.push_back(nullptr);
    return parse_boot_arguments(static_cast<int>(argv.size() - 1), argv.data());
}

Result<QemuMachine> bench_qemu_machine(const std::vector<std::string>& boot_words) {
    std::vector<std::string> copy = boot_words;
    std::string command = "boot";
    std::vector<char*> argv{command.data()};
    for (std::string& word : copy) argv.push_back(word.data());
    argv.push_back(nullptr);
    QemuWords given;
    Result<option_table::Words> words =
        parse_options<Q, kQemuOptions>(static_cast<int>(argv.size() - 1), argv.data(), given);
    const bool has_other_console = given.console != "stdio" && given.console != "null";
    const bool has_two_initrds = given.initrds.size() > 1;
    if (!words || !words->behind.empty() || has_other_console || has_two_initrds) {
        const std::string which = !words              ? words.error().message()
                                  : has_other_console ? fmt::format("--console {}", given.console)
                                  : has_two_initrds   ? std::string("a second --initrd")
                                                      : std::string("words behind a second --");
        return fail(
            Error::invalid(fmt::format("--against qemu-microvm: BOOT-ARGS have what it has no counterpart "
                                       "of: {}",
                                       which))
                .hint("write the command yourself: --against 'qemu-system-x86_64 ...'"));
    }
    const BootArguments boot = TRY(bench_boot_arguments(boot_words));
    const BootConfig config = TRY(boot_config(boot));
    const BuiltinGuest* builtin = TRY(builtin_of(config));
    if (builtin != nullptr && (builtin->needs_test_device || builtin->irqchip == "none"))
        return fail(Error::invalid(
            fmt::format("--against qemu-microvm: {} needs a device of mayfly's", config.kernel)));
    QemuMachine machine;
    machine.kernel = config.kernel;
    if (!config.initrds.empty()) machine.initrd = config.initrds.front();
    machine.append = config.append;
    machine.memory_bytes = config.memory_bytes;
    machine.cpus = config.cpus != 0 ? config.cpus : builtin != nullptr ? builtin->cpus : 1;
    machine.has_serial_output = given.console == "stdio";
    if (!given.omits_default_append) add_console(machine, builtin != nullptr);
    return machine;
}

Result<std::vector<int>> bench_qemu_statuses(const std::vector<std::string>& boot_words, int status) {
    const BootArguments boot = TRY(bench_boot_arguments(boot_words));
    const StatusRules rules = TRY(boot_config(boot)).status_rules;
    std::vector<u64> ours{static_cast<u64>(status)};
    if (status == 0 && rules.success) ours.push_back(*rules.success);
    std::vector<int> theirs;
    for (const u64 one : ours) {
        const u64 made = rules.exit_code == ExitCodeRule::Qemu ? one : one << 1 | 1;
        theirs.push_back(static_cast<int>(made & 0xff));
    }
    if (status == 0) theirs.push_back(0);
    return theirs;
}

}  // namespace mayfly
