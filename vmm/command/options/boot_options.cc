// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/boot_options.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/command/options/boot_option_table.h"
#include "vmm/command/options/copy_options.h"
#include "vmm/command/options/device_options.h"
#include "vmm/command/options/foreign_options.h"
#include "vmm/command/options/guest_network_option.h"
#include "vmm/command/options/restore_option_table.h"
#include "vmm/command/options/root_option.h"
#include "vmm/command/options/share_option.h"
#include "vmm/command/table/option_table.h"
#include "vmm/os/file_identity.h"
#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u32 kCpusMax = 64;
constexpr std::size_t kDisksMax = 64;
constexpr std::size_t kNetsMax = 8;
constexpr std::size_t kSharesMax = 16;          // each has a thread
constexpr u64 kTimeoutMaxSeconds = 10'000'000;  // 115 days

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
constexpr std::array kPits{
    std::pair<std::string_view, PitChoice>{"auto", PitChoice::Auto},
    std::pair<std::string_view, PitChoice>{"reinject", PitChoice::Reinject},
    std::pair<std::string_view, PitChoice>{"discard", PitChoice::Discard},
};
constexpr std::array kExitCodes{
    std::pair<std::string_view, ExitCodeRule>{"raw", ExitCodeRule::Raw},
    std::pair<std::string_view, ExitCodeRule>{"qemu", ExitCodeRule::Qemu},
};

constexpr std::array kTransports{
    std::pair<std::string_view, TransportChoice>{"pci", TransportChoice::Pci},
    std::pair<std::string_view, TransportChoice>{"mmio", TransportChoice::Mmio},
};
constexpr std::array kIoChoices{
    std::pair<std::string_view, IoChoice>{"auto", IoChoice::Auto},
    std::pair<std::string_view, IoChoice>{"inline", IoChoice::Inline},
    std::pair<std::string_view, IoChoice>{"thread", IoChoice::Thread},
};
constexpr std::array kSwitches{
    std::pair<std::string_view, bool>{"on", true},
    std::pair<std::string_view, bool>{"off", false},
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

Result<u64> numbered(std::string_view option, const std::string& text, u64 max) {
    Result<u64> value = parse_number(text, max);
    if (!value) return fail(std::move(value).error().about(option));
    return value;
}

/// A number alone is bytes, and who writes 512 means MiB, as QEMU does.
Result<u64> read_memory(const std::string& text) {
    Result<u64> memory = parse_size(text);
    if (!memory) return fail(std::move(memory).error().about("--memory"));
    const bool is_plain = std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    if (is_plain && *memory != 0 && *memory < layout::kMemoryMin)
        return fail(Error::invalid(fmt::format("--memory {} means {} bytes; the least is {}", text, *memory,
                                               print_size(layout::kMemoryMin)))
                        .hint(fmt::format("--memory {}M", text)));
    return memory;
}

Result<void> read_console(const BootArguments& arguments, BootConfig& config) {
    ConsoleChoice console = TRY(parse_console(arguments.console));
    if (!arguments.console_limit.empty()) {
        Result<u64> limit = parse_size(arguments.console_limit);
        if (!limit) return fail(std::move(limit).error().about("--console-limit"));
        if (!console.names_file() || descriptor_named(console.place) == STDOUT_FILENO)
            return fail(Error::invalid(fmt::format("--console-limit {} belongs to --console FILE; stdout is "
                                                   "never cut",
                                                   arguments.console_limit))
                            .hint("--console FILE, or leave it out"));
        config.console_max_bytes = *limit;
    }
    config.console = std::move(console.place);
    config.console_device = console.device;
    config.debugcon = arguments.debugcon == "-" ? "stdout" : arguments.debugcon;
    return {};
}

Result<void> read_shares(const BootArguments& arguments, BootConfig& config) {
    if (arguments.shares.empty()) return {};
    if (arguments.shares.size() > kSharesMax)
        return fail(Error::invalid(
            fmt::format("{} times --share; the limit is {}", arguments.shares.size(), kSharesMax)));
    const std::optional<ShareOwner> owner = default_share_owner(::geteuid());
    for (const std::string& share : arguments.shares) config.shares.push_back(TRY(parse_share(share, owner)));
    return settle_shares(config.shares, config.exec.has_value());
}

Result<void> read_devices(const BootArguments& arguments, BootConfig& config) {
    TRY_VOID(read_console(arguments, config));
    if (arguments.disks.size() > kDisksMax)
        return fail(Error::invalid(
            fmt::format("{} times --disk; the limit is {}", arguments.disks.size(), kDisksMax)));
    if (arguments.nets.size() > kNetsMax)
        return fail(
            Error::invalid(fmt::format("{} times --net; the limit is {}", arguments.nets.size(), kNetsMax)));
    for (const std::string& disk : arguments.disks) config.disks.push_back(TRY(parse_disk(disk)));
    for (const std::string& net : arguments.nets) config.nets.push_back(TRY(parse_net(net)));
    TRY_VOID(check_guest_networks(config.nets, config.exec.has_value()));
    TRY_VOID(read_shares(arguments, config));
    config.has_rng = arguments.is_rng;
    config.transport = TRY(choose<TransportChoice>("--transport", arguments.transport, kTransports));
    config.io = TRY(choose<IoChoice>("--io", arguments.io, kIoChoices));
    config.has_config_window = TRY(choose<bool>("--config-window", arguments.config_window, kSwitches));
    return {};
}

/// Options of a program, given without one.
Result<void> refuse_without_exec(const BootArguments& arguments) {
    if (!arguments.exec_arguments.empty())
        return fail(Error::invalid(fmt::format("'{}' is an argument of no program: only --exec has them",
                                               arguments.exec_arguments.front()))
                        .hint("--exec PROG -- ARG..."));
    const auto first_of = [](const std::vector<std::string>& list) {
        return list.empty() ? std::string() : list.front();
    };
    const std::string variable = first_of(arguments.environment);
    const std::string copy_in = first_of(arguments.copies_in);
    const std::string copy_out = first_of(arguments.copies_out);
    for (const auto& [option, value] :
         {std::pair("--root", &arguments.root), std::pair("--modules", &arguments.modules_directory),
          std::pair("--env", &variable), std::pair("--workdir", &arguments.workdir),
          std::pair("--copy-in", &copy_in), std::pair("--copy-out", &copy_out),
          std::pair("--user", &arguments.user), std::pair("--hostname", &arguments.hostname),
          std::pair("--grace", &arguments.grace)}) {
        if (!value->empty())
            return fail(
                Error::invalid(fmt::format("{} {} belongs to --exec, which is not given", option, *value))
                    .hint("an initramfs of your own is --initrd"));
    }
    return {};
}

/// "NAME=VALUE" of "NAME[=VALUE]"; nothing for a variable that is not set here. Errors: Invalid.
Result<std::optional<std::string>> read_variable(const std::string& text) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || text.empty())
        return fail(
            Error::invalid(fmt::format("--env '{}': a variable has a name", text)).hint("NAME[=VALUE]"));
    if (equals != std::string::npos) return std::optional(text);
    const char* value = std::getenv(text.c_str());
    if (value == nullptr) return std::optional<std::string>();
    return std::optional(text + "=" + value);
}

Result<void> read_copies(const BootArguments& arguments, ExecConfig& exec) {
    constexpr std::size_t kCopiesMax = 64;
    for (const auto& [option, count] : {std::pair("--copy-in", arguments.copies_in.size()),
                                        std::pair("--copy-out", arguments.copies_out.size())})
        if (count > kCopiesMax)
            return fail(Error::invalid(fmt::format("{} times {}; the limit is {}", count, option, kCopiesMax))
                            .hint("a directory is one"));
    for (const std::string& text : arguments.copies_in) exec.copies_in.push_back(TRY(parse_copy_in(text)));
    for (const std::string& text : arguments.copies_out) exec.copies_out.push_back(TRY(parse_copy_out(text)));
    return {};
}

Result<void> read_program(const BootArguments& arguments, ExecConfig& exec) {
    TRY_VOID(read_copies(arguments, exec));
    for (const std::string& text : arguments.environment) {
        std::optional<std::string> variable = TRY(read_variable(text));
        if (variable) exec.environment.push_back(std::move(*variable));
    }
    if (!arguments.workdir.empty() && arguments.workdir.front() != '/')
        return fail(Error::invalid(
            fmt::format("--workdir {}: is not an absolute path of the guest", arguments.workdir)));
    constexpr std::size_t kHostNameMax = 64;  // Linux's __NEW_UTS_LEN
    if (arguments.hostname.size() > kHostNameMax)
        return fail(Error::invalid(fmt::format("--hostname {}: has {} characters, Linux takes {}",
                                               arguments.hostname, arguments.hostname.size(), kHostNameMax)));
    exec.workdir = arguments.workdir;
    exec.user = arguments.user;
    exec.hostname = arguments.hostname;
    if (arguments.grace.empty()) return {};
    Result<u64> grace = parse_seconds_ms(arguments.grace, kTimeoutMaxSeconds);
    if (!grace) return fail(std::move(grace).error().about("--grace"));
    exec.grace = std::chrono::milliseconds(*grace);
    return {};
}

Result<void> read_exec(const BootArguments& arguments, BootConfig& config) {
    if (arguments.exec.empty()) return refuse_without_exec(arguments);
    if (!arguments.initrds.empty())
        return fail(Error::invalid(fmt::format("--exec {} and --initrd {}: a guest has one initial RAM disk",
                                               arguments.exec, arguments.initrds.front()))
                        .hint("--exec packs its own; --root names what else is in it"));
    RootChoice root = TRY(parse_root(arguments.root));
    config.exec = ExecConfig{.program = arguments.exec,
                             .arguments = arguments.exec_arguments,
                             .root = std::move(root.directory),
                             .root_kind = root.kind,
                             .modules = arguments.modules_directory};
    return read_program(arguments, *config.exec);
}

Result<void> read_watch(const BootArguments& arguments, BootConfig& config) {
    config.watch = WatchConfig{.expect = arguments.expect,
                               .fail_on = arguments.fail_on,
                               .log_path = arguments.log,
                               .junit_path = arguments.junit};
    if (arguments.log_limit.empty()) return {};
    Result<u64> limit = parse_size(arguments.log_limit);
    if (!limit) return fail(std::move(limit).error().about("--log-limit"));
    if (arguments.log.empty())
        return fail(Error::invalid(fmt::format("--log-limit {} belongs to --log, which is not given",
                                               arguments.log_limit))
                        .hint("--log FILE, or leave it out"));
    config.watch.log_max_bytes = *limit;
    return {};
}

Result<void> read_timeout(const BootArguments& arguments, BootConfig& config) {
    if (arguments.timeout.empty()) return {};
    Result<u64> limit = parse_seconds_ms(arguments.timeout, kTimeoutMaxSeconds);
    if (!limit) return fail(std::move(limit).error().about("--timeout"));
    config.timeout = std::chrono::milliseconds(*limit);
    return {};
}

Result<void> read_reports(const BootArguments& arguments, BootConfig& config) {
    config.status_rules.exit_code = TRY(choose<ExitCodeRule>("--exit-code", arguments.exit_code, kExitCodes));
    if (!arguments.success.empty())
        config.status_rules.success = TRY(numbered("--success", arguments.success, 0xffff'ffff));
    config.wants_timeline = arguments.is_timeline;
    config.timeline_json = arguments.timeline_json;
    config.wants_stats = arguments.is_stats;
    config.stats_json = arguments.stats_json;
    return {};
}

Result<SnapshotMoment> read_moment(const std::string& text) {
    constexpr std::string_view kMark = "mark=";
    if (text.empty() || text == "ready") return SnapshotMoment{};
    if (text == "signal") return SnapshotMoment{.kind = SnapshotMoment::Kind::Signal};
    if (!text.starts_with(kMark))
        return fail(Error::invalid(fmt::format("--snapshot-at '{}' is not known", text))
                        .hint("one of: ready, signal, mark=N"));
    const u64 mark = TRY(numbered("--snapshot-at mark", text.substr(kMark.size()), 0xffff'ffff));
    return SnapshotMoment{.kind = SnapshotMoment::Kind::Mark, .mark = static_cast<u32>(mark)};
}

Result<void> read_snapshot(const BootArguments& arguments, BootConfig& config) {
    for (const auto& [option, value] :
         {std::pair("--snapshot-at", &arguments.snapshot_at), std::pair("--then", &arguments.then)}) {
        if (arguments.snapshot.empty() && !value->empty())
            return fail(
                Error::invalid(fmt::format("{} {} belongs to --snapshot, which is not given", option, *value))
                    .hint("--snapshot DIR, or leave it out"));
    }
    if (arguments.snapshot.empty()) return {};
    constexpr std::array kThen{std::pair<std::string_view, bool>{"exit", false},
                               std::pair<std::string_view, bool>{"go-on", true}};
    config.snapshot = SnapshotConfig{
        .directory = arguments.snapshot,
        .moment = TRY(read_moment(arguments.snapshot_at)),
        .goes_on = TRY(choose<bool>("--then", arguments.then.empty() ? "exit" : arguments.then, kThen))};
    return {};
}

}  // namespace

Result<BootArguments> parse_boot_arguments(int argc, char** argv) {
    BootArguments arguments;
    Result<option_table::Words> parsed = parse_options<BootArguments, boot_option_table::kOptions>(
        argc, argv, arguments, foreign_boot_options());
    if (!parsed && !arguments.exec.empty())
        return fail(
            std::move(parsed).error().hint("arguments of --exec's program come after --; see --help"));
    option_table::Words words = TRY(std::move(parsed));
    if (words.plain.size() > 1)
        return fail(
            Error::invalid(fmt::format("'{}' is one argument too many: there is one KERNEL", words.plain[1]))
                .hint("arguments of --exec's program come after --"));
    if (!words.plain.empty()) arguments.kernel = std::move(words.plain[0]);
    arguments.exec_arguments = std::move(words.behind);
    return arguments;
}

Result<BootArguments> parse_restore_arguments(int argc, char** argv) {
    BootArguments arguments;
    option_table::Words words =
        TRY((parse_options<BootArguments, restore_option_table::kOptions>(argc, argv, arguments)));
    if (arguments.is_help) return arguments;
    if (words.plain.size() > 1 || !words.behind.empty())
        return fail(
            Error::invalid(fmt::format("'{}' is one argument too many: there is one DIR",
                                       words.plain.size() > 1 ? words.plain[1] : words.behind.front())));
    if (words.plain.empty() || words.plain.front().empty())
        return fail(Error::invalid("a DIR is missing: which snapshot?").hint("mayfly restore [OPTIONS] DIR"));
    arguments.origin = std::move(words.plain.front());
    return arguments;
}

Result<BootConfig> restore_config(const BootArguments& arguments) {
    BootConfig config;
    TRY_VOID(read_watch(arguments, config));
    TRY_VOID(read_timeout(arguments, config));
    TRY_VOID(read_devices(arguments, config));
    TRY_VOID(read_reports(arguments, config));
    return config;
}

Result<BootConfig> boot_config(const BootArguments& arguments) {
    BootConfig config;
    if (arguments.kernel.empty())
        return fail(Error::not_found("the KERNEL that was given has an empty name"));
    config.kernel = arguments.kernel;
    config.kernel_cache = arguments.kernel_cache;
    config.initrds = arguments.initrds;
    config.modules = arguments.modules;
    config.append = arguments.append;
    config.has_default_append = !arguments.omits_default_append;
    config.is_quick_linux = arguments.is_quick_linux;
    if (config.is_quick_linux && !config.has_default_append)
        return fail(Error::invalid(
            "--quick-linux adds to the words of mayfly's that --no-default-append leaves out: choose one"));
    TRY_VOID(read_exec(arguments, config));
    TRY_VOID(read_watch(arguments, config));
    config.protocol = TRY(choose<Protocol>("--protocol", arguments.protocol, kProtocols));
    config.profile = TRY(choose<ProfileChoice>("--profile", arguments.profile, kProfiles));
    config.irqchip = TRY(choose<IrqchipChoice>("--irqchip", arguments.irqchip, kIrqchips));
    config.pit = TRY(choose<PitChoice>("--pit", arguments.pit, kPits));
    config.memory_bytes = TRY(read_memory(arguments.memory));
    config.cpus = 0;  // what the guest needs
    if (!arguments.cpus.empty()) {
        config.cpus = static_cast<u32>(TRY(numbered("--cpus", arguments.cpus, kCpusMax)));
        if (config.cpus == 0) return fail(Error::invalid("--cpus 0: a machine has 1 to 64 vCPUs"));
    }
    TRY_VOID(read_timeout(arguments, config));
    TRY_VOID(read_devices(arguments, config));
    TRY_VOID(add_live_root(config));
    TRY_VOID(read_snapshot(arguments, config));
    if (arguments.exit_ports.size() > kExitPortsMax)
        return fail(Error::invalid(fmt::format("{} times --exit-port; the limit is {}",
                                               arguments.exit_ports.size(), kExitPortsMax)));
    for (const std::string& port : arguments.exit_ports)
        config.exit_ports.push_back(static_cast<u16>(TRY(numbered("--exit-port", port, 0xffff))));
    config.has_test_device = arguments.is_test_device;
    TRY_VOID(read_reports(arguments, config));
    return config;
}

}  // namespace mayfly
