// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/outputs/boot_outputs.h"

#include <unistd.h>

#include "firmware/image/refuse.h"
#include "vmm/command/options/copy_options.h"
#include "vmm/command/options/device_options.h"
#include "vmm/command/options/root_option.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/machine/boot/module_choice.h"

namespace mayfly {

namespace {

constexpr const char* kJunit = "--junit";

/// The file of --console; empty for none.
std::string console_file(const BootArguments& arguments) {
    const Result<ConsoleChoice> choice = parse_console(arguments.console);
    return choice && choice->names_file() ? choice->place : std::string();
}

/// The file of --debugcon; empty for none.
std::string debugcon_file(const BootArguments& arguments) {
    return names_debugcon_file(arguments.debugcon) ? arguments.debugcon : std::string();
}

/// Files that cannot be read are refused with the command line.
RootChoice root_of(const BootArguments& arguments) {
    return parse_root(arguments.root).value_or(RootChoice{});
}

/// Where a program is looked for: vmm/initramfs/program.h. Empty for a bare name in a root, which is one of
/// many places.
std::string program_file(const BootArguments& arguments) {
    if (arguments.root.empty()) return arguments.exec;
    if (arguments.exec.starts_with('/')) return root_of(arguments).directory + arguments.exec;
    return arguments.exec.find('/') == std::string::npos ? std::string() : arguments.exec;
}

NamedFiles files_of(const BootArguments& arguments) {
    NamedFiles files;
    add_boot_files(arguments, "", files);
    files.add_standard(STDERR_FILENO);
    const Result<ConsoleChoice> choice = parse_console(arguments.console);
    if (choice && choice->place == "stdio") {
        files.add_standard(STDIN_FILENO);
        files.reserve_stdout("the guest's console", "--console null or --console FILE leaves it free");
    } else if (arguments.debugcon == "stdout" || arguments.debugcon == "-") {
        files.reserve_stdout("the guest's debug console",
                             "--debugcon stderr or --debugcon FILE leaves it free");
    }
    return files;
}

Result<std::optional<ReportFile>> open_report(const char* option, const std::string& name) {
    if (name.empty()) return std::nullopt;
    Result<ReportFile> file = ReportFile::open(name);
    if (!file) return fail(std::move(file).error().about(option));
    return std::move(*file);
}

Result<UniqueFd> open_stream_of(const char* option, const std::string& name, StreamStart start) {
    Result<UniqueFd> file = open_stream(name, start);
    if (!file) return fail(std::move(file).error().about(option));
    return file;
}

}  // namespace

void add_boot_files(const BootArguments& arguments, std::string_view about, NamedFiles& files) {
    const auto called = [&](const char* option) { return std::string(about) + option; };
    const auto reads = [&](const char* option, const std::string& name) {
        if (!name.empty()) files.add_input(called(option), name);
    };
    const auto writes = [&](const char* option, const std::string& name) {
        if (!name.empty()) files.add_output(called(option), name);
    };
    if (!arguments.kernel.starts_with(kBuiltinPrefix)) reads("KERNEL", arguments.kernel);
    for (const std::string& initrd : arguments.initrds) reads("--initrd", initrd);
    for (const std::string& module : arguments.modules) reads("--module", module.substr(0, module.find(' ')));
    for (const std::string& disk : arguments.disks) reads("--disk", disk_path(disk));
    if (!arguments.origin.empty())
        for (const char* file : {"state", "memory"}) reads("DIR", arguments.origin + "/" + file);
    reads("--exec", program_file(arguments));
    // Of a live one nothing is packed.
    if (const RootChoice root = root_of(arguments); !root.directory.empty() && root.kind == RootKind::Packed)
        files.add_tree(called("--root"), root.directory, false);
    if (!arguments.modules_directory.empty() && arguments.modules_directory != kAutoModules)
        files.add_tree(called("--modules"), arguments.modules_directory, true);
    // Those that cannot be read are refused with the command line.
    for (const std::string& text : arguments.copies_in)
        if (const Result<CopyIn> copy = parse_copy_in(text))
            files.add_copied(called("--copy-in"), copy->host);
    for (const std::string& text : arguments.copies_out)
        if (const Result<CopyOut> copy = parse_copy_out(text))
            files.add_late_output(called("--copy-out"), copy->host_name());
    writes("--console", console_file(arguments));
    writes("--debugcon", debugcon_file(arguments));
    writes("--log", arguments.log);
    writes(kJunit, arguments.junit);
    writes("--timeline-json", arguments.timeline_json);
    writes("--stats-json", arguments.stats_json);
}

Result<void> BootOutputs::open_junit_of(const BootArguments& arguments, const NamedFiles& files) {
    TRY_VOID(files.check(kJunit));
    junit = TRY(open_report(kJunit, arguments.junit));
    return {};
}

Result<void> BootOutputs::open_others(const BootArguments& arguments) {
    timeline = TRY(open_report("--timeline-json", arguments.timeline_json));
    stats = TRY(open_report("--stats-json", arguments.stats_json));
    if (const std::string name = console_file(arguments); !name.empty())
        console = TRY(open_stream_of("--console", name, StreamStart::Append));
    if (const std::string name = debugcon_file(arguments); !name.empty())
        debugcon = TRY(open_stream_of("--debugcon", name, StreamStart::Append));
    return {};
}

Result<UniqueFd> open_log(const std::string& name) {
    return open_stream_of("--log", name, StreamStart::Afresh);
}

Result<void> empty_log(const UniqueFd& file, const std::string& name) {
    return about(start_afresh(file, name), "--log");
}

BootOutputs BootOutputs::open_junit(const BootArguments& arguments) {
    BootOutputs outputs;
    if (arguments.junit.empty()) return outputs;
    const Result<void> opened = outputs.open_junit_of(arguments, files_of(arguments));
    if (!opened) outputs.error_ = opened.error();
    return outputs;
}

BootOutputs BootOutputs::open(const BootArguments& arguments) {
    BootOutputs outputs;
    const NamedFiles files = files_of(arguments);
    outputs.packed = files.outputs();
    const Result<void> opened =
        outputs.open_junit_of(arguments, files).and_then([&] { return files.check_all(); }).and_then([&] {
            return outputs.open_others(arguments);
        });
    if (!opened) outputs.error_ = opened.error();
    return outputs;
}

}  // namespace mayfly
