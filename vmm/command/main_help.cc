// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/main_help.h"

#include <array>

#include <fmt/format.h>

#include "firmware/guests/builtin.h"
#include "vmm/command/bench/bench_option_table.h"
#include "vmm/command/bench/merge_option_table.h"
#include "vmm/command/options/restore_option_table.h"
#include "vmm/command/simple_options.h"
#include "vmm/command/table/option_hints.h"
#include "vmm/machine/boot/guest_images.h"
#include "vmm/text/layout.h"

namespace mayfly {

namespace {

constexpr std::size_t kCommandColumn = 16;
constexpr std::size_t kGuestColumn = 20;

constexpr std::array kPages{&kBootPage, &kRestorePage, &kDoctorPage, &kBenchPage, &kMergePage, &kVersionPage};

}  // namespace

std::string main_help(std::size_t columns) {
    std::string text =
        wrap_text("mayfly boots a kernel or unikernel on KVM in about a millisecond.", columns);
    text += "\n\nusage: mayfly COMMAND [OPTIONS]\n\nCommands:\n";
    for (const CommandPage* page : kPages)
        text += describe(fmt::format("  {}", page->command), page->summary, kCommandColumn, columns);
    text += describe("  help COMMAND", "print the help of a command", kCommandColumn, columns);
    text += '\n' + wrap_text(
                       "mayfly COMMAND --help lists the options of each. First steps: mayfly boot, which "
                       "boots the built-in demo; mayfly doctor where that fails.",
                       columns);
    return text + "\n\n" + wrap_text(status_text(kBootPage), columns) + '\n';
}

std::string guest_list(std::size_t columns) {
    std::string text;
    for (const BuiltinGuest& guest : builtin_guests())
        text += describe(fmt::format("{}{}", kBuiltinPrefix, guest.name), guest.description, kGuestColumn,
                         columns);
    return text;
}

Result<std::vector<char*>> help_words(int argc, char** argv) {
    static char help[] = "--help";
    const bool is_of_bench = argc == 4 && std::string_view(argv[2]) == "bench" &&
                             (std::string_view(argv[3]) == "boot" || std::string_view(argv[3]) == "merge");
    if (argc > 3 && !is_of_bench)
        return fail(Error::invalid(fmt::format("'{}' is one argument too many", argv[3]))
                        .hint("mayfly help COMMAND"));
    // Of "help" itself, and of options, the page of all.
    const std::string_view command = argv[2];
    if (command == "help" || command.starts_with('-')) return std::vector<char*>{argv[0], help, nullptr};
    std::vector<char*> words{argv[0]};
    words.insert(words.end(), argv + 2, argv + argc);
    words.push_back(help);
    words.push_back(nullptr);
    return words;
}

Error refused_command(std::string_view command) {
    if (command.empty()) return Error::invalid("a command is missing").hint("see mayfly --help");
    Error error = Error::invalid(fmt::format("mayfly has no command '{}'", command));
    static constexpr std::array<std::string_view, 5> kNames{"boot", "doctor", "bench", "version", "help"};
    if (command.starts_with(kBuiltinPrefix) || command == "--list" || command.find('/') != command.npos)
        return std::move(error).hint(fmt::format("guests are booted by mayfly boot {}", command));
    if (command == "run" || command == "start")
        return std::move(error).hint("a guest is started by mayfly boot; see mayfly --help");
    if (const std::optional<std::string_view> meant = nearest_name(command, kNames))
        return std::move(error).hint(fmt::format("did you mean mayfly {}? see mayfly --help", *meant));
    return std::move(error).hint("see mayfly --help");
}

}  // namespace mayfly
