// SPDX-License-Identifier: Apache-2.0
// main: parse, run the command, leave with its status. Reads top to bottom.
#include <sstream>
#include <string>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include "vmm/command/boot_options.h"
#include "vmm/command/commands.h"
#include "vmm/machine/ending.h"
#include "vmm/text/log.h"

namespace {

using namespace mayfly;

/// CLI11 reports by exception, the one place where we meet any. Help goes to stdout with status 0.
int parse_failure(const CLI::App& app, const CLI::ParseError& error, const char* first_word) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
        std::ostringstream help;
        app.exit(error, help, help);
        return print_result(help.str());
    }
    // CLI11 would only say that a command is missing.
    if (first_word != nullptr && first_word[0] != '-' && app.get_subcommands().empty()) {
        log::error("no command is called '" + std::string(first_word) + "' (see mayfly --help)");
    } else {
        log::error(std::string(error.what()) + " (see mayfly --help)");
    }
    return kStatusFailed;
}

int run(int argc, char** argv, Timeline& timeline) {
    CLI::App app("mayfly: boots a kernel or unikernel on KVM in about a millisecond", "mayfly");
    app.require_subcommand(1);
    BootArguments boot_arguments;
    CLI::App& boot = *app.add_subcommand("boot", "boot a kernel and return the guest's verdict");
    add_boot_options(boot, boot_arguments);
    bool is_json = false;
    CLI::App& version = *app.add_subcommand("version", "print the version");
    version.add_flag("--json", is_json, "as JSON");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return parse_failure(app, error, argc > 1 ? argv[1] : nullptr);
    }
    if (version.parsed()) return version_command(is_json);
    log::set_verbose(boot_arguments.is_verbose);
    Result<BootConfig> config = boot_config(boot_arguments);
    if (!config) return print_error(config.error());
    return boot_command(std::move(*config), timeline);
}

}  // namespace

int main(int argc, char** argv) {
    static Timeline timeline;
    timeline.reach(Phase::Main);
    const int status = run(argc, argv, timeline);
    // Not exit(): nothing is left to flush, and a thread may be blocked in read(2).
    ::_exit(status);
}
