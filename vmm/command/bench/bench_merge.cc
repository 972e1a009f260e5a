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
#include "vmm/command/bench/bench_help.h"
#include "vmm/command/bench/merge_option_table.h"
#include "vmm/command/bench/result_file.h"
#include "vmm/command/outputs/named_files.h"
#include "vmm/os/display.h"
#include "vmm/os/unique_fd.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

/// Of 100,000 runs, as many as `bench boot` does, one takes less than half of that.
constexpr std::size_t kReportBytesMax = MiB(256);
constexpr std::size_t kReportsMax = 256;

Result<MergeArguments> parse_merge_arguments(int argc, char** argv) {
    MergeArguments arguments;
    option_table::Words words =
        TRY((parse_options<MergeArguments, merge_option_table::kOptions>(argc, argv, arguments)));
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
    const bool is_document = arguments.json == "-" || arguments.html == "-";
    const std::string table =
        merged_text(merged, display_of(is_document ? STDERR_FILENO : STDOUT_FILENO).columns);
    int status = 0;
    if (is_document) {
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
    if (arguments->is_help) return print_help(merge_help(display_of(STDOUT_FILENO).columns));
    const Result<int> status = merge(*arguments);
    return status ? *status : print_error(status.error());
}

}  // namespace mayfly
