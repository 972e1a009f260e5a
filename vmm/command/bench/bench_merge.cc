// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/bench/bench_merge.h"

#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/bench/merge/merged.h"
#include "vmm/command/bench/result_file.h"
#include "vmm/command/options/option_table.h"
#include "vmm/command/outputs/named_files.h"
#include "vmm/os/unique_fd.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

/// Of 100,000 runs, as many as `bench boot` does, one takes less than half of that.
constexpr std::size_t kReportBytesMax = MiB(256);
constexpr std::size_t kReportsMax = 256;

struct MergeArguments {
    std::string json;
    std::string html;
    bool is_help = false;
    std::vector<std::string> files;
};

using M = MergeArguments;

constexpr std::array kMergeOptions{
    Option<M>{.name = "json", .value = "FILE", .help = "write the merged report as JSON", .text = &M::json},
    Option<M>{.name = "html", .value = "FILE", .help = "write it as a page with charts", .text = &M::html},
    Option<M>{.name = "help", .letter = 'h', .help = "print this and exit", .flag = &M::is_help},
};

constexpr std::string_view kUsage =
    "usage: mayfly bench merge [OPTIONS] FILE.json...\n"
    "\n"
    "Puts reports that `mayfly bench boot --json FILE` wrote, on several machines or\n"
    "days, beside each other: each is a column with its facts (processor, kernel,\n"
    "KVM) and the least, median and greatest value of each quantity. All must have\n"
    "measured the same command. The FILE of an option may be -: stdout, and the\n"
    "table goes to stderr.\n"
    "status: 0 merged, 125 a report was refused.\n\n";

Result<MergeArguments> parse_merge_arguments(int argc, char** argv) {
    MergeArguments arguments;
    option_table::Words words = TRY(parse_options<M>(kMergeOptions, argc, argv, arguments));
    if (arguments.is_help) return arguments;
    arguments.files = std::move(words.plain);
    arguments.files.insert(arguments.files.end(), words.behind.begin(), words.behind.end());
    if (arguments.files.empty())
        return fail(Error::invalid("no reports are named").hint("mayfly bench merge [OPTIONS] FILE.json..."));
    if (arguments.files.size() > kReportsMax)
        return fail(Error::invalid(
            fmt::format("{} reports are named; the limit is {}", arguments.files.size(), kReportsMax)));
    if (arguments.json == "-" && arguments.html == "-")
        return fail(Error::invalid("--json - and --html -: stdout takes one document")
                        .hint("give one of them a file"));
    NamedFiles files;
    for (const std::string& file : arguments.files) files.add_input("FILE", file);
    if (!arguments.json.empty()) files.add_output("--json", arguments.json);
    if (!arguments.html.empty()) files.add_output("--html", arguments.html);
    TRY_VOID(files.check_all());
    return arguments;
}

Result<std::string> read_whole(const std::string& name) {
    const UniqueFd fd = UniqueFd::adopt(::open(name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return fail(Error::os("open").about(name));
    std::string text;
    constexpr std::size_t kPieceBytes = 64 << 10;
    for (;;) {
        const std::size_t before = text.size();
        if (before > kReportBytesMax)
            return fail(Error::invalid(fmt::format("the file is larger than {}", print_size(kReportBytesMax)))
                            .about(name));
        text.resize(before + kPieceBytes);
        const ssize_t got = ::read(fd.get(), text.data() + before, kPieceBytes);
        if (got < 0) return fail(Error::os("read").about(name));
        text.resize(before + static_cast<std::size_t>(got));
        if (got == 0) return text;
    }
}

Result<int> merge(const MergeArguments& arguments) {
    const ResultFile json = TRY(ResultFile::open("--json", arguments.json));
    const ResultFile html = TRY(ResultFile::open("--html", arguments.html));
    std::vector<BenchReport> reports;
    for (const std::string& file : arguments.files)
        reports.push_back(TRY(
            read_whole(file).and_then([&](const std::string& text) { return parse_report(file, text); })));
    const MergedReport merged = TRY(merge_reports(std::move(reports)));
    const std::string table = merged_text(merged);
    int status = 0;
    if (arguments.json == "-" || arguments.html == "-") {
        (void)std::fwrite(table.data(), 1, table.size(), stderr);
        status = print_result(arguments.json == "-" ? merged_json(merged) : merged_html(merged));
    } else {
        status = print_result(table);
    }
    status = json.write([&] { return merged_json(merged); }, status);
    return html.write([&] { return merged_html(merged); }, status);
}

}  // namespace

int bench_merge_command(int argc, char** argv) {
    const Result<MergeArguments> arguments = parse_merge_arguments(argc, argv);
    if (!arguments) return print_error(arguments.error());
    if (arguments->is_help) return print_result(std::string(kUsage) + print_options<M>(kMergeOptions));
    const Result<int> status = merge(*arguments);
    return status ? *status : print_error(status.error());
}

}  // namespace mayfly
