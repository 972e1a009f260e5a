// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_files.h"

#include <unistd.h>

#include "vmm/command/outputs/boot_outputs.h"

namespace mayfly {

namespace {

/// The files of a column that is `mayfly boot BOOT-ARGS`, whose words have been found good.
void add_boot_column(const Column& column, NamedFiles& files) {
    std::vector<std::string> words(column.arguments.begin() + 1, column.arguments.end());
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const Result<BootArguments> boot = parse_boot_arguments(static_cast<int>(words.size()), argv.data());
    if (boot) add_boot_files(*boot, "BOOT-ARGS' ", files);
}

/// Any word of a command may be a file, also one behind a '='.
void add_command(const Column& column, NamedFiles& files) {
    const auto add = [&](const std::string& name) {
        if (::access(name.c_str(), F_OK) == 0) files.add_input(column.name + "'s", name);
    };
    for (const std::string& word : column.arguments) {
        add(word);
        if (const std::size_t equals = word.find('='); equals != std::string::npos)
            add(word.substr(equals + 1));
    }
}

}  // namespace

Result<void> check_bench_files(const BenchArguments& arguments, const BenchPlan& plan) {
    NamedFiles files;
    bool has_outputs = false;
    for (const auto& [option, name] :
         {std::pair("--json", &arguments.json), std::pair("--csv", &arguments.csv),
          std::pair("--html", &arguments.html), std::pair("--export-markdown", &arguments.markdown)}) {
        if (name->empty()) continue;
        files.add_output(option, *name);
        has_outputs = true;
    }
    if (!has_outputs) return {};
    files.add_standard(STDOUT_FILENO);
    files.add_standard(STDERR_FILENO);
    for (const Column& column : plan.columns) {
        files.add_input(column.name + "'s", column.program);
        if (column.kind == Column::Kind::Mayfly)
            add_boot_column(column, files);
        else
            add_command(column, files);
    }
    // The boots compare their own.
    for (const char* option : {"--json", "--csv", "--html", "--export-markdown"})
        TRY_VOID(files.check(option));
    return {};
}

}  // namespace mayfly
