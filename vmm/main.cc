// SPDX-License-Identifier: Apache-2.0
// main: find the command, parse its options, run it, leave with its status. Reads top to bottom.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "vmm/command/bench/bench.h"
#include "vmm/command/boot/boot.h"
#include "vmm/command/commands.h"
#include "vmm/command/first_stack.h"
#include "vmm/command/options/boot_options.h"
#include "vmm/command/options/option_table.h"
#include "vmm/command/outputs/answer.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/text/log.h"

namespace {

using namespace mayfly;

/// Commands were seen to take up to 60 KiB of the first thread's stack, and half of that more is for what was
/// not seen.
constexpr u64 kStackBytesMin = KiB(96);

constexpr std::string_view kHelp =
    "mayfly boots a kernel or unikernel on KVM in about a millisecond.\n"
    "\n"
    "usage: mayfly boot [OPTIONS] [KERNEL]   boot a kernel and return the guest's verdict as status\n"
    "       mayfly doctor [--json]           what this host's KVM can do, what slows it down, the cure\n"
    "       mayfly bench boot [OPTIONS] -- BOOT-ARGS    how long that takes, many times over\n"
    "       mayfly bench merge FILE.json...   reports of several machines beside each other\n"
    "       mayfly version [--json]          print the version\n"
    "\n"
    "mayfly COMMAND --help has the options of each.\n"
    "status: 0-123 the guest's own, 124 timeout, 125 mayfly failed, 126 the guest crashed, 127 no such\n"
    "kernel, 128+N ended by signal N\n";

int boot(int argc, char** argv, Timeline& timeline) {
    const Result<BootArguments> arguments = parse_boot_arguments(argc, argv);
    if (!arguments) return print_error(arguments.error());
    if (arguments->is_help) return print_result(arguments->help_text);
    log::set_verbose(arguments->is_verbose);
    Result<BootConfig> config = boot_config(*arguments);
    if (!config) return refused_boot_command(*arguments, config.error(), timeline);
    return boot_command(*arguments, std::move(*config), timeline);
}

/// A closed standard descriptor's number would go to the next file opened, /dev/kvm or the kernel. Read-only,
/// so that writing there fails as it does on a closed one.
void hold_standard_descriptors() {
    std::array<pollfd, 3> standard{};
    for (int fd = 0; pollfd& one : standard) one.fd = fd++;
    (void)::poll(standard.data(), standard.size(), 0);
    for (const pollfd& one : standard) {
        if ((one.revents & POLLNVAL) != 0) (void)::open("/dev/null", O_RDONLY);
    }
}

struct SimpleArguments {
    bool is_json = false;
    bool is_help = false;
};

/// doctor and version, which take --json and nothing else.
int simple(int argc, char** argv, std::string_view usage, int (*command)(bool is_json)) {
    using A = SimpleArguments;
    static constexpr std::array kOptions{
        Option<A>{.name = "json", .help = "print JSON", .flag = &A::is_json},
        Option<A>{.name = "help", .letter = 'h', .help = "print this and exit", .flag = &A::is_help},
    };
    SimpleArguments arguments;
    const Result<option_table::Words> words = parse_options<A>(kOptions, argc, argv, arguments);
    if (!words) return print_error(words.error());
    for (const std::vector<std::string>& given : {words->plain, words->behind}) {
        if (!given.empty())
            return print_error(Error::invalid("'" + given.front() + "' is one argument too many"));
    }
    if (arguments.is_help)
        return print_result("usage: " + std::string(usage) + "\n\n" + print_options<A>(kOptions));
    return command(arguments.is_json);
}

/// Whether an option of boot's that reports the timeline can be there, perhaps shortened.
bool mentions_timeline(int argc, char** argv) {
    return std::any_of(argv + 2, argv + argc,
                       [](std::string_view word) { return word.starts_with("--timel"); });
}

int run(int argc, char** argv, Timeline& timeline) {
    const std::string_view command = argc > 1 ? argv[1] : "";
    if (command == "boot") {
        // Before this thread first blocks.
        if (mentions_timeline(argc, argv)) timeline.estimate_exec();
        return boot(argc - 1, argv + 1, timeline);
    }
    if (command == "doctor") return simple(argc - 1, argv + 1, "mayfly doctor [--json]", doctor_command);
    if (command == "bench") return bench_command(argc - 1, argv + 1);
    if (command == "version" || command == "--version")
        return simple(argc - 1, argv + 1, "mayfly version [--json]", version_command);
    if (command == "help" || command == "--help" || command == "-h") return print_result(kHelp);
    if (command.empty()) return print_error(Error::invalid("a command is missing").hint("see mayfly --help"));
    return print_error(
        Error::invalid("no command is called '" + std::string(command) + "'").hint("see mayfly --help"));
}

}  // namespace

/// Nothing here throws on purpose, and the tables by which a handler would be looked for are not in the
/// binary (vmm/sections.ld): meson.build has every call of __cxa_throw come here.
// NOLINTNEXTLINE(readability-identifier-naming): the linker's name for it
extern "C" [[noreturn]] void __wrap___cxa_throw(void* /*object*/, void* /*type*/,
                                                void (* /*destructor*/)(void*)) {
    log::error("bug: an exception nobody expected");
    std::abort();
}

namespace __gnu_cxx {

/// Takes the place of libstdc++'s handler, which carries a demangler of 47 KiB to name an exception.
void __verbose_terminate_handler() { std::abort(); }

}  // namespace __gnu_cxx

int main(int argc, char** argv) {
    if (const auto stack = first_stack(); stack && stack->left_bytes < kStackBytesMin) {
        tell_small_stack(*stack, kStackBytesMin);
        ::_exit(kStatusFailed);
    }
    end_without_memory(kStatusFailed);
    hold_standard_descriptors();
    // It outlives every thread: the process ends by _exit, perhaps with a thread blocked in read(2).
    static Timeline timeline;
    timeline.reach(Phase::Main);
    const int status = run(argc, argv, timeline);
    ::_exit(status);
}
