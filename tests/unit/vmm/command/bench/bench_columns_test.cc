// SPDX-License-Identifier: Apache-2.0
// The columns that --against, --vs, --vs-binary, --parameter, --prepare and --expect-status make.
#include "vmm/command/bench/bench_columns.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

using Words = std::vector<std::string>;

BenchArguments arguments(std::vector<Peer> peers, Words boot_words = {"builtin:hello"}) {
    BenchArguments given;
    given.peers = std::move(peers);
    given.boot_words = std::move(boot_words);
    return given;
}

std::vector<std::string> names(const std::vector<Column>& columns) {
    std::vector<std::string> list;
    for (const Column& column : columns) list.push_back(column.name);
    return list;
}

void check_refused(const BenchArguments& given, const char* part) {
    const Result<std::vector<Column>> made = bench_columns(given);
    REQUIRE_FALSE(made);
    INFO(made.error().message());
    CHECK(made.error().message().find(part) != std::string::npos);
}

}  // namespace

TEST_CASE("a --vs is this program with other words, a --vs-binary another with the same", "[bench_columns]") {
    const std::vector<Column> made =
        bench_columns(arguments({{"against", "/bin/true x"},
                                 {"vs", "builtin:hello --append 'a b' --memory 64M"},
                                 {"vs-binary", "/bin/sh"}},
                                {"builtin:hello", "--cpus", "1"}))
            .value();
    REQUIRE(made.size() == 4);
    CHECK(names(made) == Words{"mayfly", "true", "builtin:hello --append 'a b' --memory 64M", "/bin/sh"});
    CHECK(made[1].kind == Column::Kind::Command);
    CHECK(made[2].kind == Column::Kind::Mayfly);
    CHECK(made[2].program == made[0].program);
    CHECK(made[2].arguments ==
          Words{"mayfly", "boot", "builtin:hello", "--append", "a b", "--memory", "64M"});
    CHECK(made[3].kind == Column::Kind::Mayfly);
    CHECK(made[3].program == "/bin/sh");
    CHECK(made[3].arguments == Words{"/bin/sh", "boot", "builtin:hello", "--cpus", "1"});
}

TEST_CASE("each value of a parameter is a column, where it is mentioned", "[bench_columns]") {
    BenchArguments given = arguments(
        {{"against", "/bin/true"}, {"against", "/bin/echo {c}{x}"}, {"vs", "builtin:hello --memory {m}"}},
        {"builtin:hello", "--memory", "{m}", "--cpus", "{c}", "--append", "{\"m\":1}"});
    given.parameters = {"m=64M,1G", "c=1,2"};
    const std::vector<Column> made = bench_columns(given).value();
    CHECK(names(made) == Words{"mayfly m=64M c=1", "mayfly m=64M c=2", "mayfly m=1G c=1", "mayfly m=1G c=2",
                               "true", "echo c=1", "echo c=2", "builtin:hello --memory 64M",
                               "builtin:hello --memory 1G"});
    CHECK(made[1].arguments == Words{"mayfly", "boot", "builtin:hello", "--memory", "64M", "--cpus", "2",
                                     "--append", "{\"m\":1}"});
    CHECK(made[6].arguments == Words{"/bin/echo", "2{x}"});
    REQUIRE(made[6].settings.size() == 1);
    CHECK(made[6].settings[0].name == "c");
    CHECK(made[6].settings[0].value == "2");
}

TEST_CASE("a parameter may be the program, the preparation or part of the name", "[bench_columns]") {
    BenchArguments given = arguments({{"against", "/bin/{p} x"}, {"vs-binary", "/bin/{p}"}});
    given.parameters = {"p=true,false", "n=1,2"};
    given.prepare = {"", "echo {n}", ""};
    given.names = {"ours", "no {p}"};
    const std::vector<Column> made = bench_columns(given).value();
    CHECK(names(made) == Words{"ours", "no true n=1", "no true n=2", "no false n=1", "no false n=2",
                               "/bin/true", "/bin/false"});
    CHECK(made[4].program == "/bin/false");
    CHECK(made[4].prepare == "echo 2");
    CHECK(made[0].prepare.empty());
    CHECK(made[6].program == "/bin/false");
}

TEST_CASE("--prepare and --expect-status are given once, or once for each column", "[bench_columns]") {
    BenchArguments given = arguments({{"against", "/bin/true"}});
    given.prepare = {"sync"};
    given.expected = {"3"};
    const std::vector<Column> alike = bench_columns(given).value();
    for (const Column& column : alike) {
        CHECK(column.prepare == "sync");
        CHECK(column.successes == std::vector<int>{3});
    }
    given.expected = {"3", "255"};
    const std::vector<Column> made = bench_columns(given).value();
    CHECK(made[0].successes == std::vector<int>{3});
    CHECK(made[1].successes == std::vector<int>{255});
    given.expected = {"0", "1", "2"};
    check_refused(given, "3 times --expect-status, but 2 are measured");
    given.expected = {"300"};
    check_refused(given, "--expect-status: 300 is above the limit of 255");
    given.expected = {"-1"};
    check_refused(given, "--expect-status");
    given.expected.clear();
    given.prepare = {"a", "b", "c"};
    check_refused(given, "3 times --prepare");
}

TEST_CASE("an error in a peer is reported with its option and value", "[bench_columns]") {
    check_refused(arguments({{"vs", "builtin:nothing"}}), "'nothing'");
    check_refused(arguments({{"vs", "builtin:hello --memory lots"}}), "--vs 'builtin:hello --memory lots': ");
    check_refused(arguments({{"vs", "builtin:hello 'x"}}), "--vs: 'builtin:hello 'x'");
    check_refused(arguments({{"vs", "a > b"}}), "--vs: 'a > b'");
    check_refused(arguments({{"vs", "builtin:hello --stats-json x"}}), "--vs");
    check_refused(arguments({{"vs-binary", "/no/such/mayfly"}}), "--vs-binary: '/no/such/mayfly'");
}

TEST_CASE("parameters that are wrong are refused by name", "[bench_columns]") {
    BenchArguments given = arguments({}, {"builtin:hello", "--memory", "{m}"});
    const auto refuse = [&](Words parameters, const char* part) {
        given.parameters = std::move(parameters);
        check_refused(given, part);
    };
    refuse({"m=1,2", "memory=64M"}, "--parameter memory: no {memory} in");
    refuse({"m=64M", "m=128M"}, "two times --parameter m");
    refuse({"m"}, "--parameter 'm': expected NAME=VALUE");
    refuse({"m=64M,lots"}, "lots");
    refuse({"m=1M,2M,3M,4M,5M,6M,7M,8M,9M,10M,11M,12M,13M,14M,15M,16M,17M,18M,19M,20M,21M,22M,23M,24M,25M,"
            "26M,27M,28M,29M,30M,31M,32M,33M"},
           "more than 32 columns");
    given.boot_words.emplace_back("{n}");
    refuse({"m=64M,65M,66M,67M,68M,69M", "n=1,2,3,4,5,6"}, "--parameter n: its 6 values");
    check_refused(arguments(std::vector<Peer>(32, {"against", "/bin/true"})), "33 columns");
}
