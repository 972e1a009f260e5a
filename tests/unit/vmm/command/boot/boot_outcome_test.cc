// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/boot/boot_outcome.h"

#include <catch2/catch.hpp>

#include "vmm/command/boot/boot_junit.h"

using namespace mayfly;

namespace {

constexpr u64 kExited = 0xe100'0000;
constexpr u64 kSignalled = 0xe200'0000;

struct Watched {
    BootConfig config;
    std::unique_ptr<ConsoleWatch> watch;

    Watched(std::vector<std::string> expect, std::vector<std::string> fail_on, std::string_view console) {
        config.kernel = "vmlinuz";
        config.watch.expect = std::move(expect);
        config.watch.fail_on = std::move(fail_on);
        WatchHooks hooks;
        hooks.decide = [](WatchVerdict) {};
        hooks.should_give_up = [] { return false; };
        auto made = ConsoleWatch::create(config.watch, hooks, 0);
        REQUIRE(made);
        watch = std::move(*made);
        // SAFETY: a character's bytes.
        watch->take({reinterpret_cast<const u8*>(console.data()), console.size()});
        watch->finish();
    }
    /// The machine's ending; its guest had a program to run where the configuration names one.
    [[nodiscard]] Ending ending(EndKind kind, u64 value) const {
        GuestFacts facts;
        if (config.exec) facts.program = config.exec->program;
        return resolve_ending({kind, value, {}}, facts);
    }
    [[nodiscard]] BootOutcome judge(EndKind kind, u64 value = 0) const {
        return judge_boot(config, ending(kind, value), watch.get());
    }
    [[nodiscard]] JunitReport junit(EndKind kind, u64 value = 0) const {
        const Ending ended = ending(kind, value);
        return boot_junit(config, judge(kind, value), &ended, watch.get(), {});
    }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a good end without the expected lines is status 1, another end keeps its status") {
    const Watched run({"seen", "missing"}, {}, "seen\n");
    for (const EndKind kind : {EndKind::PowerOff, EndKind::Reset, EndKind::ExitCode}) {
        CHECK(run.judge(kind).status == 1);
        CHECK(run.judge(kind).lines == Lines{"--expect 'missing' was not seen"});
        CHECK(run.judge(kind).wants_tail);
    }
    CHECK(run.judge(EndKind::ExitCode, 5).status == 5);
    CHECK(run.judge(EndKind::Panic).status == 126);
    CHECK(run.judge(EndKind::Timeout, 1000).status == 124);
    CHECK(run.judge(EndKind::Timeout, 1000).lines.size() == 2);
    CHECK(run.judge(EndKind::Timeout, 1000).wants_tail);
}

TEST_CASE("a panic is shown in the guest's words, in the report too, and a boot without a root says so") {
    const std::string why = "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)";
    const Ending panic{EndKind::Panic, 0, {}, why};
    const std::string line = "the guest panicked: " + why;
    const std::string without = line + " (it has no root: neither --initrd, --disk nor --exec was given)";
    const auto told = [](const BootConfig& config, const Ending& ending) {
        const BootOutcome outcome = judge_boot(config, ending, nullptr);
        CHECK(boot_junit(config, outcome, &ending, nullptr, {}).cases[0].message == outcome.lines.at(0));
        return outcome.lines;
    };
    BootConfig config;
    config.kernel = "vmlinux";
    CHECK(told(config, panic) == Lines{without});
    CHECK(
        told(config, {EndKind::Panic, 0, {}, "Kernel panic - not syncing: sysrq"}).at(0).ends_with("sysrq"));
    CHECK(told(config, {EndKind::Panic, 0, {}}) == Lines{"the guest panicked"});
    BootConfig with_initrd = config;
    with_initrd.initrds = {"initrd"};
    BootConfig with_disk = config;
    with_disk.disks.resize(1);
    BootConfig with_program = config;
    with_program.exec.emplace();
    for (const BootConfig& rooted : {with_initrd, with_disk}) CHECK(told(rooted, panic) == Lines{line});
    CHECK(
        told(with_program, panic) ==
        Lines{line + " (it did not unpack its initramfs: too little --memory, or no CONFIG_BLK_DEV_INITRD)"});
    BootConfig with_init = with_program;
    with_init.append = "a rdinit=/mine";
    CHECK(told(with_init, panic) ==
          Lines{line + " (the rdinit= of --append takes the place of mayfly's init, and does not exist)"});
    for (const std::string small :
         {"Out of memory and no killable processes...", "System is deadlocked on memory"})
        CHECK(told(with_program, {EndKind::Panic, 0, {}, small}) ==
              Lines{"the guest panicked: " + small + " (--memory 128 MiB is too little for it)"});
}

TEST_CASE("when a user ends mayfly, missing lines are not reported") {
    const Watched run({"missing"}, {}, "");
    for (const EndKind kind : {EndKind::Signal, EndKind::Quit}) {
        CHECK(run.judge(kind, 2).status == 130);
        CHECK(run.judge(kind, 2).lines.empty());
        CHECK_FALSE(run.judge(kind, 2).wants_tail);
    }
}

TEST_CASE("a forbidden text in a guest's last words is status 1 after a good end, and hides no crash") {
    const Watched run({"missing"}, {"Oops"}, "Oops: 0000");
    for (const EndKind kind : {EndKind::FailedOn, EndKind::PowerOff, EndKind::Reset, EndKind::ExitCode}) {
        CHECK(run.judge(kind).status == 1);
        CHECK(run.judge(kind).lines == Lines{"--fail-on 'Oops' matched: Oops: 0000"});
    }
    CHECK(run.judge(EndKind::Panic).status == 126);
    CHECK(run.judge(EndKind::ProgramEnded, kExited).status == 1);
}

TEST_CASE("a long line is quoted in part, and not cut within a character") {
    const WatchedExpression forbidden{.text = "x", .line = std::string(199, 'x') + "\xc3\xa9 and more"};
    CHECK(fail_on_line(forbidden) == "--fail-on 'x' matched: " + std::string(199, 'x') + "...");
}

TEST_CASE("with a program, its end is the status, and an end without it is 125") {
    Watched run({}, {}, "");
    run.config.exec = ExecConfig{.program = "test", .arguments = {"-v"}, .root = {}, .modules = {}};
    CHECK(run.judge(EndKind::ProgramEnded, kExited | 200).status == 200);
    CHECK(run.judge(EndKind::ProgramEnded, kSignalled | 11).status == 139);
    for (const EndKind kind : {EndKind::PowerOff, EndKind::Reset}) {
        CHECK(run.judge(kind).status == 125);
        CHECK(run.judge(kind).lines == Lines{"the guest ended without the status of test"});
    }
    CHECK(run.judge(EndKind::Panic).status == 126);
    CHECK(run.judge(EndKind::Timeout, 1000).status == 124);
}

TEST_CASE("a program that ended well, but without the expected lines, is status 1") {
    Watched run({"missing"}, {}, "");
    run.config.exec = ExecConfig{.program = "test", .arguments = {}, .root = {}, .modules = {}};
    CHECK(run.judge(EndKind::ProgramEnded, kExited).status == 1);
    CHECK(run.judge(EndKind::ProgramEnded, kExited | 7).status == 7);
    CHECK(run.judge(EndKind::PowerOff).status == 125);
    CHECK(run.judge(EndKind::PowerOff).lines ==
          Lines{"the guest ended without the status of test", "--expect 'missing' was not seen"});
}

TEST_CASE("the report distinguishes the machine's end from the program's") {
    Watched run({}, {}, "");
    run.config.exec = ExecConfig{.program = "test", .arguments = {"-v"}, .root = {}, .modules = {}};
    using Outcome = JunitCase::Outcome;
    struct Row {
        EndKind kind;
        u64 value;
        Outcome machine;
        Outcome program;
    };
    for (const Row& row : {Row{EndKind::ProgramEnded, kExited, Outcome::Passed, Outcome::Passed},
                           Row{EndKind::ProgramEnded, kExited | 3, Outcome::Passed, Outcome::Failed},
                           Row{EndKind::ProgramEnded, kExited | 125, Outcome::Passed, Outcome::Failed},
                           Row{EndKind::ProgramEnded, kSignalled | 9, Outcome::Passed, Outcome::Failed},
                           Row{EndKind::ProgramEnded, 0xe305'0002, Outcome::Passed, Outcome::Error},
                           Row{EndKind::PowerOff, 0, Outcome::Passed, Outcome::Error},
                           Row{EndKind::Timeout, 5, Outcome::Failed, Outcome::Failed},
                           Row{EndKind::Panic, 0, Outcome::Failed, Outcome::Skipped},
                           Row{EndKind::HostError, 0, Outcome::Error, Outcome::Skipped}}) {
        const JunitReport report = run.junit(row.kind, row.value);
        REQUIRE(report.cases.size() == 2);
        CHECK(report.cases[0].outcome == row.machine);
        CHECK(report.cases[1].name == "test -v");
        CHECK(report.cases[1].outcome == row.program);
    }
}
