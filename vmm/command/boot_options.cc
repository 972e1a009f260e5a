// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot_options.h"

#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u32 kCpusMax = 64;
constexpr double kTimeoutMax = 1e7;  // seconds, 115 days

template <typename Value>
using Names = std::span<const std::pair<std::string_view, Value>>;

constexpr std::array kProtocols{
    std::pair<std::string_view, Protocol>{"auto", Protocol::Auto},
    std::pair<std::string_view, Protocol>{"linux", Protocol::Linux},
    std::pair<std::string_view, Protocol>{"pvh", Protocol::Pvh},
    std::pair<std::string_view, Protocol>{"multiboot", Protocol::Multiboot},
    std::pair<std::string_view, Protocol>{"multiboot2", Protocol::Multiboot2},
};
constexpr std::array kProfiles{
    std::pair<std::string_view, ProfileChoice>{"auto", ProfileChoice::Auto},
    std::pair<std::string_view, ProfileChoice>{"modern", ProfileChoice::Modern},
    std::pair<std::string_view, ProfileChoice>{"legacy", ProfileChoice::Legacy},
};
constexpr std::array kIrqchips{
    std::pair<std::string_view, IrqchipChoice>{"auto", IrqchipChoice::Auto},
    std::pair<std::string_view, IrqchipChoice>{"split", IrqchipChoice::Split},
    std::pair<std::string_view, IrqchipChoice>{"full", IrqchipChoice::Full},
    std::pair<std::string_view, IrqchipChoice>{"none", IrqchipChoice::None},
};
constexpr std::array kExitCodes{
    std::pair<std::string_view, ExitCodeRule>{"raw", ExitCodeRule::Raw},
    std::pair<std::string_view, ExitCodeRule>{"qemu", ExitCodeRule::Qemu},
};

template <typename Value>
Result<Value> choose(std::string_view option, std::string_view given, Names<Value> names) {
    std::string known;
    for (const auto& [name, value] : names) {
        if (name == given) return value;
        known += (known.empty() ? "" : ", ") + std::string(name);
    }
    return fail(Error::invalid(fmt::format("{} '{}' is not known", option, given)).hint("one of: " + known));
}

Result<std::optional<double>> parse_timeout(const std::string& text) {
    if (text.empty()) return std::nullopt;
    double seconds = 0;
    const char* end = text.data() + text.size();
    const auto [after, status] = std::from_chars(text.data(), end, seconds);
    if (status != std::errc{} || after != end || !(seconds > 0) || seconds > kTimeoutMax)
        return fail(Error::invalid(
            fmt::format("--timeout '{}' is not a number of seconds above 0 and up to {:.0f}", text, kTimeoutMax)));
    return seconds;
}

/// A script's variable that was never set must not mean "no limit" or "no file".
std::string not_empty(const std::string& text) { return text.empty() ? "the value is empty" : ""; }

Result<u64> numbered(std::string_view option, const std::string& text, u64 max) {
    Result<u64> value = parse_number(text, max);
    if (!value) return fail(std::move(value).error().about(option));
    return value;
}

}  // namespace

void add_boot_options(CLI::App& app, BootArguments& arguments) {
    app.add_option("KERNEL", arguments.kernel,
                   "ELF, bzImage or Multiboot kernel, or builtin:NAME; default: the built-in demo guest");
    app.add_option("--initrd", arguments.initrd, "initial RAM disk")->type_name("FILE")->check(not_empty);
    app.add_option("--module", arguments.modules, "Multiboot or PVH module; repeatable")->type_name("'FILE[ ARGS]'")->allow_extra_args(false);
    app.add_option("--append", arguments.append, "kernel command line")->type_name("STRING");
    app.add_option("--protocol", arguments.protocol, "auto, linux, pvh, multiboot or multiboot2 [auto]")->type_name("NAME");
    app.add_option("--profile", arguments.profile, "machine: auto, modern or legacy [auto]")->type_name("NAME");
    app.add_option("--irqchip", arguments.irqchip, "auto, split, full or none [auto]")->type_name("NAME");
    app.add_option("--memory", arguments.memory, "guest RAM, from 2M [128M]")->type_name("SIZE");
    app.add_option("--cpus", arguments.cpus, "vCPUs, 1-64 [1]")->type_name("N")->check(not_empty);
    app.add_option("--timeout", arguments.timeout, "end the guest after so long, with status 124")
        ->type_name("SECONDS")->check(not_empty);
    app.add_option("--console", arguments.console, "serial console: stdio, null or a file [stdio]")->type_name("WHERE");
    app.add_option("--exit-port", arguments.exit_ports, "a write here ends the guest; repeatable [0xf4]")->type_name("PORT")->allow_extra_args(false);
    app.add_option("--exit-code", arguments.exit_code, "raw: the value written; qemu: value<<1|1 [raw]")->type_name("RULE");
    app.add_option("--success", arguments.success, "this status counts as 0")
        ->type_name("N")->check(not_empty);
    app.add_flag("--testdev", arguments.is_test_device, "add the interrupt test device (ports 0xe0, 0x2000)");
    app.add_flag("--timeline", arguments.is_timeline, "print when each phase was reached, at exit");
    app.add_option("--timeline-json", arguments.timeline_json, "write the timeline as JSON")
        ->type_name("FILE")->check(not_empty);
    app.add_flag("--stats", arguments.is_stats, "print exits by cause, and KVM's own counters");
    app.add_option("--stats-json", arguments.stats_json, "write them as JSON")
        ->type_name("FILE")->check(not_empty);
    app.add_flag("-v,--verbose", arguments.is_verbose, "say what was chosen, and why");
}

Result<BootConfig> boot_config(const BootArguments& arguments) {
    BootConfig config;
    if (arguments.kernel.empty()) return fail(Error::not_found("the KERNEL that was given has an empty name"));
    config.kernel = arguments.kernel;
    config.initrd = arguments.initrd;
    config.modules = arguments.modules;
    config.append = arguments.append;
    config.protocol = TRY(choose<Protocol>("--protocol", arguments.protocol, kProtocols));
    config.profile = TRY(choose<ProfileChoice>("--profile", arguments.profile, kProfiles));
    config.irqchip = TRY(choose<IrqchipChoice>("--irqchip", arguments.irqchip, kIrqchips));
    Result<u64> memory = parse_size(arguments.memory);
    if (!memory) return fail(std::move(memory).error().about("--memory"));
    config.memory_bytes = *memory;
    config.cpus = 0;  // what the guest needs
    if (!arguments.cpus.empty()) {
        config.cpus = static_cast<u32>(TRY(numbered("--cpus", arguments.cpus, kCpusMax)));
        if (config.cpus == 0) return fail(Error::invalid("--cpus 0: a machine has 1 to 64 vCPUs"));
    }
    config.timeout_seconds = TRY(parse_timeout(arguments.timeout));
    config.console = arguments.console;
    for (const std::string& port : arguments.exit_ports)
        config.exit_ports.push_back(static_cast<u16>(TRY(numbered("--exit-port", port, 0xffff))));
    config.status_rules.exit_code = TRY(choose<ExitCodeRule>("--exit-code", arguments.exit_code, kExitCodes));
    if (!arguments.success.empty())
        config.status_rules.success = TRY(numbered("--success", arguments.success, 0xffff'ffff));
    config.has_test_device = arguments.is_test_device;
    config.wants_timeline = arguments.is_timeline;
    config.timeline_json = arguments.timeline_json;
    config.wants_stats = arguments.is_stats;
    config.stats_json = arguments.stats_json;
    return config;
}

}  // namespace mayfly
