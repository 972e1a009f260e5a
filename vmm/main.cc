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
#include "vmm/command/main_help.h"
#include "vmm/command/options/boot_help.h"
#include "vmm/command/options/boot_options.h"
#include "vmm/command/table/option_table.h"
#include "vmm/command/outputs/answer.h"
#include "vmm/command/simple_options.h"
#include "vmm/machine/lifecycle/ending.h"
#include "vmm/os/display.h"
#include "vmm/text/log.h"

namespace {

using namespace mayfly;

/// Commands were seen to take up to 60 KiB of the first thread's stack, and half of that is added as a
/// reserve.
constexpr u64 kStackBytesMin = KiB(96);

// Not in one frame: a boot would touch another page of the stack for what a restore needs.
[[gnu::noinline]] int boot(int argc, char** argv, Timeline& timeline) {
    const Result<BootArguments> arguments = parse_boot_arguments(argc, argv);
    if (!arguments) return print_error(arguments.error());
    if (arguments->is_help) return print_help(boot_help(display_of(STDOUT_FILENO).columns));
    if (arguments->is_list) return print_help(guest_list(display_of(STDOUT_FILENO).columns));
    log::set_verbose(arguments->is_verbose);
    Result<BootConfig> config = boot_config(*arguments);
    if (!config) return refused_boot_command(*arguments, config.error(), timeline);
    return boot_command(*arguments, std::move(*config), timeline);
}

[[gnu::noinline]] int restore(int argc, char** argv, Timeline& timeline) {
    const Result<BootArguments> arguments = parse_restore_arguments(argc, argv);
    if (!arguments) return print_error(arguments.error());
    if (arguments->is_help) return print_help(restore_help(display_of(STDOUT_FILENO).columns));
    log::set_verbose(arguments->is_verbose);
    return restore_command(*arguments, timeline);
}

/// A closed standard descriptor's number would go to the next file opened, /dev/kvm or the kernel. Read-only,
/// so that writing to it fails as on a closed descriptor.
void hold_standard_descriptors() {
    std::array<pollfd, 3> standard{};
    for (int fd = 0; pollfd& one : standard) one.fd = fd++;
    (void)::poll(standard.data(), standard.size(), 0);
    for (const pollfd& one : standard) {
        if ((one.revents & POLLNVAL) != 0) (void)::open("/dev/null", O_RDONLY);
    }
}

/// doctor and version, which take --json and nothing else.
int simple(int argc, char** argv, const CommandPage& page, int (*command)(bool is_json)) {
    SimpleArguments arguments;
    const Result<option_table::Words> words = parse_simple_arguments(argc, argv, arguments);
    if (!words) return print_error(words.error());
    for (const std::vector<std::string>& given : {words->plain, words->behind}) {
        if (!given.empty())
            return print_error(Error::invalid("'" + given.front() + "' is one argument too many")
                                   .hint(std::string("mayfly ") + page.command + " " + page.operands));
    }
    if (arguments.is_help) return print_help(simple_help(page, display_of(STDOUT_FILENO).columns));
    return command(arguments.is_json);
}

/// Whether the words may contain an option that reports the timeline, perhaps abbreviated.
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
    if (command == "restore") {
        if (mentions_timeline(argc, argv)) timeline.estimate_exec();
        return restore(argc - 1, argv + 1, timeline);
    }
    if (command == "doctor") return simple(argc - 1, argv + 1, kDoctorPage, doctor_command);
    if (command == "bench") return bench_command(argc - 1, argv + 1);
    if (command == "version" || command == "--version")
        return simple(argc - 1, argv + 1, kVersionPage, version_command);
    if (command == "help" && argc > 2) {
        Result<std::vector<char*>> words = help_words(argc, argv);
        return words ? run(static_cast<int>(words->size() - 1), words->data(), timeline)
                     : print_error(words.error());
    }
    if (command == "help" || command == "--help" || command == "-h")
        return print_help(main_help(display_of(STDOUT_FILENO).columns));
    return print_error(refused_command(command));
}

}  // namespace

/// Our code never throws, and the tables for finding a handler are not in the binary (vmm/sections.ld):
/// meson.build redirects every call of __cxa_throw here.
// NOLINTNEXTLINE(readability-identifier-naming): the linker's name for it
extern "C" [[noreturn]] void __wrap___cxa_throw(void* /*object*/, void* /*type*/,
                                                void (* /*destructor*/)(void*)) {
    log::error("bug: an unexpected exception");
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
