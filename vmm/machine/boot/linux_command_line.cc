// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/linux_command_line.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "firmware/layout.h"

namespace mayfly {

namespace {

/// Measured and left out, each within 1 % of nothing here: tsc=reliable (kvmclock is), no_timer_check (the
/// machine lacks a timer pin), rcupdate.rcu_expedited=1, random.trust_cpu=on (the kernel has a seed),
/// noreplace-smp, i8042.* (ACPI says that it is absent), pci=lastbus=0 (ACPI says so). pci=noearly would save
/// 76 exits and no time, but makes the kernel print an error, which "quiet" shows.
constexpr std::array kWords{
    DefaultWord{"panic=-1", "a panic ends the guest at once; the kernel's own default is to hang forever"},
    DefaultWord{"reboot=panic_warm", "and differs from a reboot: the exit status is 126"},
    DefaultWord{"cryptomgr.notests", "self-tests of the ciphers: 517 of 1474 million instructions"},
    DefaultWord{"initcall_blacklist=jent_mod_init",
                "a test of a random generator that only FIPS mode seeds ciphers from; otherwise they use the "
                "kernel's own: 129 of 897 million instructions",
                "fips"},
    DefaultWord{"8250.nr_uarts=1",
                "otherwise three more ports are probed: 18 exits, 15 million instructions"},
};

constexpr std::array kQuickWords{
    QuickWord{"trace_eval_init",
              "numbers in place of constants' names in formats of trace events: 121 million"},
    QuickWord{"bpf_tcp_ca_kfunc_init", "TCP congestion control that is written in BPF: 38 million"},
    QuickWord{"load_system_certificate_list", "built-in keys for the signatures of modules: 27 million"},
    QuickWord{"bpf_dummy_struct_ops_init", "BPF's self-test: 10 million"},
};

std::string quick_word() {
    std::string word;
    for (const QuickWord& quick : kQuickWords)
        word += (word.empty() ? "initcall_blacklist=" : ",") + std::string(quick.initcall);
    return word;
}

void add(std::string& line, std::string_view word) {
    if (!line.empty() && !word.empty()) line += ' ';
    line += word;
}

/// Linux's isspace(): includes the no-break space of Latin 1.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xa0'; }

/// Takes the first word off `line`, as next_arg() of Linux's lib/cmdline.c does: spaces between quotes belong
/// to the word, and quotes around it do not.
std::string_view take_word(std::string_view& line) {
    while (!line.empty() && is_space(line.front())) line.remove_prefix(1);
    std::size_t end = 0;
    bool is_quoted = false;
    for (; end < line.size() && (is_quoted || !is_space(line[end])); ++end) is_quoted ^= line[end] == '"';
    std::string_view word = line.substr(0, end);
    line.remove_prefix(end);
    if (!word.starts_with('"')) return word;
    word.remove_prefix(1);
    if (word.ends_with('"')) word.remove_suffix(1);
    return word;
}

/// Linux's parameq(): '-' and '_' are the same.
bool is_same_name(std::string_view a, std::string_view b) {
    const auto plain = [](char c) { return c == '-' ? '_' : c; };
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [&](char x, char y) { return plain(x) == plain(y); });
}

}  // namespace

std::span<const DefaultWord> linux_default_words() { return kWords; }

std::span<const QuickWord> linux_quick_words() { return kQuickWords; }

bool has_parameter(std::string_view line, std::string_view key) {
    while (!line.empty()) {
        const std::string_view word = take_word(line);
        if (word == "--") return false;
        if (is_same_name(word.substr(0, word.find('=')), key)) return true;
    }
    return false;
}

int linux_log_level(std::string_view line) {
    // CONFIG_CONSOLE_LOGLEVEL_DEFAULT and CONFIG_CONSOLE_LOGLEVEL_QUIET, by default.
    constexpr int kDefault = 7;
    constexpr int kQuiet = 4;
    constexpr int kAll = 8;
    int level = kDefault;
    while (!line.empty()) {
        const std::string_view word = take_word(line);
        constexpr std::string_view kLevel = "loglevel=";
        if (word == "--") break;
        if (is_same_name(word, "ignore_loglevel")) return kAll;
        if (word == "quiet") level = kQuiet;
        if (word == "debug") level = kAll;
        if (word.starts_with(kLevel) && word.size() > kLevel.size() && word[kLevel.size()] >= '0' &&
            word[kLevel.size()] <= '9')
            level = word.size() > kLevel.size() + 1 ? kAll : std::min(word[kLevel.size()] - '0', kAll);
    }
    return level;
}

LinuxCommandLine linux_command_line(const BootConfig& config, LinuxConsole console, std::string_view init,
                                    bool is_verbose) {
    std::string console_word;
    if (console.has_early)
        console_word = fmt::format("earlycon=uart8250,mmio,{:#x}", layout::kEarlyConsole.value);
    if (config.has_default_append && !has_parameter(config.append, "console"))
        add(console_word, console.device == ConsoleDevice::Virtio ? "console=hvc0" : "console=ttyS0");
    std::string own_words;
    if (!init.empty()) add(own_words, "rdinit=" + std::string(init));
    add(own_words, config.append);

    std::string full;
    for (const DefaultWord& word : kWords) {
        if (word.unless.empty() || !has_parameter(config.append, word.unless)) add(full, word.word);
    }
    if (config.is_quick_linux) add(full, quick_word());
    // The program's output is what the user wants to see; "quiet" alone still shows errors, and Linux 6.1
    // reports one in each boot without PCI ports, before it finds the ECAM. And the early console, once it is
    // named, repeats earlier messages at the log level that applied until then.
    if (config.exec && !is_verbose)
        add(full, "quiet loglevel=3");
    else if (has_parameter(config.append, "quiet"))
        add(full, "quiet");
    add(full, console_word);
    add(full, own_words);
    if (config.has_default_append && full.size() <= kLinuxCommandLineMax)
        return {.text = std::move(full),
                .has_defaults = true,
                .marks_panics = !has_parameter(config.append, "reboot")};
    std::string least = console_word;
    add(least, own_words);
    if (least.size() > kLinuxCommandLineMax) least = std::move(own_words);
    return {.text = std::move(least), .has_defaults = false, .marks_panics = false};
}

}  // namespace mayfly
