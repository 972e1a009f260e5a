// SPDX-License-Identifier: Apache-2.0
// The command line of mayfly bench boot.
#include "vmm/command/bench/bench_options.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

Result<BenchPlan> plan(std::vector<std::string> words) {
    std::string command = "boot";
    std::vector<char*> argv{command.data()};
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const Result<BenchArguments> arguments =
        parse_bench_arguments(static_cast<int>(argv.size() - 1), argv.data());
    if (!arguments) return fail(arguments.error());
    return bench_plan(*arguments);
}

void check_refused(std::vector<std::string> words, const char* part) {
    const Result<BenchPlan> made = plan(std::move(words));
    REQUIRE_FALSE(made);
    INFO(made.error().message());
    CHECK(made.error().message().find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("defaults are 20 runs, one warm-up, one at once, 60 seconds", "[bench_options]") {
    const Result<BenchPlan> made = plan({"--", "builtin:hello", "--cpus", "1"});
    REQUIRE(made);
    CHECK(made->runs == 20);
    CHECK(made->warmup == 1);
    CHECK(made->parallel == 1);
    CHECK(made->timeout_ms == 60'000);
    REQUIRE(made->columns.size() == 1);
    CHECK(made->columns[0].name == "mayfly");
    CHECK(made->columns[0].program == "/proc/self/exe");
    CHECK(made->columns[0].arguments ==
          std::vector<std::string>{"mayfly", "boot", "builtin:hello", "--cpus", "1"});
    CHECK(made->columns[0].successes == std::vector<int>{0});
    CHECK(made->columns[0].prepare.empty());
}

TEST_CASE("BOOT-ARGS may be empty, and may have a -- of their own", "[bench_options]") {
    CHECK(plan({"-n", "3", "--"})->columns[0].arguments.size() == 2);
    CHECK(plan({"--", "kernel", "--exec", "/bin/true", "--", "-x"})->columns[0].arguments.back() == "-x");
}

TEST_CASE("columns have names, given or their program's, and no two the same", "[bench_options]") {
    const Result<BenchPlan> made = plan({"--against", "/bin/true a", "--against", "true b", "--against", "sh",
                                         "--name", "ours", "--", "builtin:hello"});
    REQUIRE(made);
    REQUIRE(made->columns.size() == 4);
    CHECK(made->columns[0].name == "ours");
    CHECK(made->columns[1].name == "true");
    CHECK(made->columns[2].name == "true 2");
    CHECK(made->columns[3].name == "sh");
    CHECK(made->columns[1].program == "/bin/true");
}

TEST_CASE("bad figures are refused with option, value and limit", "[bench_options]") {
    check_refused({"-n", "0", "--", "builtin:hello"}, "--runs 0: at least 1");
    check_refused({"-n", "x", "--", "builtin:hello"}, "--runs");
    check_refused({"-n", "100001", "--", "builtin:hello"}, "100000");
    check_refused({"--warmup", "-1", "--", "builtin:hello"}, "--warmup");
    check_refused({"--parallel", "0", "--", "builtin:hello"}, "--parallel 0");
    check_refused({"-n", "3", "--parallel", "4", "--", "builtin:hello"},
                  "--parallel 4 is more than the 3 runs");
    check_refused({"--timeout", "0", "--", "builtin:hello"}, "--timeout");
}

TEST_CASE("missing and misplaced words are refused", "[bench_options]") {
    check_refused({}, "BOOT-ARGS are missing");
    check_refused({"-n", "3"}, "BOOT-ARGS are missing");
    check_refused({"builtin:hello"}, "behind --");
    check_refused({"--frobnicate", "--", "builtin:hello"}, "--frobnicate");
    check_refused({"--", "--frobnicate"}, "--frobnicate");
    check_refused({"--", "builtin:nothing"}, "'nothing'");
    check_refused({"--", "builtin:hello", "--timeline-json", "x"}, "reports of their own");
    check_refused({"--name", "a", "--name", "b", "--", "builtin:hello"}, "1 columns");
    check_refused({"--mark", "(", "--", "builtin:hello"}, "--mark");
    check_refused({"--mark", "a=x", "--mark", "a=y", "--", "builtin:hello"}, "two times --mark 'a'");
}

TEST_CASE("a command that does not exist is found before anything runs", "[bench_options]") {
    check_refused({"--against", "no-such-program", "--", "builtin:hello"}, "no-such-program");
    check_refused({"--against", "true | cat", "--", "builtin:hello"},
                  "--against: 'true | cat': '|' needs a shell");
    check_refused({"--against", "qemu-micro", "--", "builtin:hello"}, "qemu-micro");
}

TEST_CASE("stdout takes one document", "[bench_options]") {
    CHECK(plan({"--json", "-", "--csv", "file", "--", "builtin:hello"}));
    check_refused({"--json", "-", "--csv", "-", "--", "builtin:hello"}, "--json - and --csv -");
    check_refused({"--html", "-", "--export-markdown", "-", "--", "builtin:hello"}, "--export-markdown -");
}
