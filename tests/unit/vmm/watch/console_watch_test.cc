// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_watch.h"

#include <atomic>
#include <chrono>
#include <thread>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/watch/scratch_file.h"
#include "vmm/os/clock.h"
#include "vmm/os/output_file.h"

using namespace mayfly;

namespace {

class Rig {
  public:
    explicit Rig(const WatchConfig& config, bool ends_when_expected = true) {
        WatchHooks hooks;
        hooks.ends_when_expected = ends_when_expected;
        hooks.decide = [this](WatchVerdict verdict) {
            verdict_ = static_cast<int>(verdict);
            ++verdicts_;
        };
        hooks.should_give_up = [this] { return should_give_up_.load(); };
        Result<std::unique_ptr<ConsoleWatch>> made = ConsoleWatch::create(config, hooks, monotonic_ns());
        REQUIRE(made);
        watch_ = std::move(*made);
        if (config.log_path.empty()) return;
        Result<UniqueFd> log = open_stream(config.log_path, StreamStart::Afresh);
        REQUIRE(log);
        watch_->set_log(config, std::move(*log));
    }

    ConsoleWatch& operator*() { return *watch_; }
    ConsoleWatch* operator->() { return watch_.get(); }

    void say(std::string_view text) { watch_->take({reinterpret_cast<const u8*>(text.data()), text.size()}); }
    void say_by_bytes(std::string_view text) {
        for (const char& byte : text) say({&byte, 1});
    }
    void give_up() { should_give_up_ = true; }
    [[nodiscard]] bool is_expected() const { return verdicts_ == 1 && verdict_ == 0; }
    [[nodiscard]] bool has_failed() const { return verdicts_ == 1 && verdict_ == 1; }
    [[nodiscard]] bool is_undecided() const { return verdicts_ == 0; }
    /// Waits for a verdict, for as long as a loaded machine may need.
    bool decides() {
        for (int i = 0; i < 2000 && verdicts_ == 0; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        return verdicts_ == 1;
    }

  private:
    std::atomic<int> verdict_ = -1;
    std::atomic<int> verdicts_ = 0;
    std::atomic<bool> should_give_up_ = false;
    std::unique_ptr<ConsoleWatch> watch_;
};

}  // namespace

TEST_CASE("every expected expression has to match, in any order, on separate lines or one") {
    Rig rig({.expect = {"^one", "two$", "o"}, .fail_on = {}, .log_path = {}, .junit_path = {}});
    rig.say("a two\n");
    CHECK(rig.is_undecided());
    rig.say("not one\n");
    CHECK(rig.is_undecided());
    rig.say("one of many\nand more\n");
    CHECK(rig.is_expected());
    rig.say("one two\n");
    CHECK(rig.is_expected());
    rig->finish();
    for (const WatchedExpression& expected : rig->expected()) CHECK(expected.is_seen);
    CHECK(rig->expected()[0].line == "one of many");
    CHECK(rig->expected()[1].line == "a two");
}

TEST_CASE("a --fail-on expression wins over an expected one on the same line") {
    Rig rig({.expect = {"test"}, .fail_on = {"never", "failed"}, .log_path = {}, .junit_path = {}});
    rig.say("test failed\ntest\n");
    CHECK(rig.has_failed());
    rig->finish();
    CHECK_FALSE(rig->forbidden()[0].is_seen);
    CHECK(rig->forbidden()[1].is_seen);
    CHECK(rig->forbidden()[1].line == "test failed");
    CHECK_FALSE(rig->expected()[0].is_seen);
}

TEST_CASE("a line that comes byte by byte is seen as a whole") {
    Rig rig({.expect = {"^ready$"}, .fail_on = {"unready"}, .log_path = {}, .junit_path = {}});
    rig.say_by_bytes("already\r\nready\r\n");
    CHECK(rig.is_expected());
}

TEST_CASE("an unterminated prompt is seen once the console is quiet") {
    Rig rig({.expect = {"login: $"}, .fail_on = {}, .log_path = {}, .junit_path = {}});
    rig.say_by_bytes("Debian\r\n\r\ndebian login: ");
    CHECK(rig.decides());
    CHECK(rig.is_expected());
}

TEST_CASE("a second prompt is seen like the first") {
    Rig rig({.expect = {"login: $", "Password: $"}, .fail_on = {}, .log_path = {}, .junit_path = {}});
    rig.say_by_bytes("login: ");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(rig.is_undecided());
    rig.say_by_bytes("root\r\nPassword: ");
    CHECK(rig.decides());
}

TEST_CASE("the console's unfinished line is matched when it ends") {
    Rig rig({.expect = {"bye$"}, .fail_on = {}, .log_path = {}, .junit_path = {}});
    rig.say("good bye");
    rig->finish();
    CHECK(rig.is_expected());
    rig.say("more\n");
    rig->finish();
    CHECK(rig->tail(5) == std::vector<std::string>{"good bye"});
}

TEST_CASE("colours do not hide a match") {
    Rig rig({.expect = {}, .fail_on = {"^\\[FAILED\\]"}, .log_path = {}, .junit_path = {}});
    rig.say("[\x1b[0;1;31mFAILED\x1b[0m] to start\r\n");
    CHECK(rig.has_failed());
}

TEST_CASE("where a program's end decides, a match of all expressions does not end the machine") {
    Rig rig({.expect = {"one"}, .fail_on = {"panic"}, .log_path = {}, .junit_path = {}}, false);
    rig.say("one\n");
    CHECK(rig.is_undecided());
    rig.say("panic\n");
    CHECK(rig.has_failed());
    rig->finish();
    CHECK(rig->expected()[0].is_seen);
}

TEST_CASE("a line of megabytes is matched and logged without keeping it") {
    const ScratchDirectory scratch;
    Rig rig({.expect = {"needle"}, .fail_on = {}, .log_path = scratch.file("log"), .junit_path = {}});
    const std::string hay(1 << 20, 'x');
    rig.say(hay);
    rig.say("needle");
    rig.say(hay);
    rig.say("\nnext\n");
    CHECK(rig.is_expected());
    rig->finish();
    const std::string log = contents(scratch.file("log"));
    CHECK(log.size() == 15 + 2 * hay.size() + 6 + 1 + 15 + 5);
    CHECK(log.substr(15, hay.size() + 6) == hay + "needle");
    CHECK(log.substr(log.size() - 5) == "next\n");
}

TEST_CASE("the log has every byte except line ends, and the last line even if it is unfinished") {
    const ScratchDirectory scratch;
    Rig rig({.expect = {}, .fail_on = {}, .log_path = scratch.file("log"), .junit_path = {}});
    rig.say(std::string_view("a\0\xff\x1b[1mb\r\nc", 11));
    const std::string before = contents(scratch.file("log"));
    CHECK(before.substr(15) == std::string("a\0\xff\x1b[1mb\n", 9));
    rig->finish();
    const std::string after = contents(scratch.file("log"));
    CHECK(after.substr(before.size() + 15) == "c\n");
}

TEST_CASE("once mayfly is ending, lines are soon not matched any more, but still logged") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("log");
    Rig rig({.expect = {"first", "second"}, .fail_on = {"third"}, .log_path = path, .junit_path = {}});
    rig.give_up();
    rig.say("first\n");
    std::this_thread::sleep_for(std::chrono::milliseconds(2 * ConsoleWatch::kGiveUpMs));
    rig.say("second\nthird\nfour");
    rig->finish();
    CHECK(rig.is_undecided());
    CHECK(rig->expected()[0].is_seen);
    CHECK_FALSE(rig->expected()[1].is_seen);
    CHECK_FALSE(rig->forbidden()[0].is_seen);
    CHECK(rig->tail(9) == std::vector<std::string>{"first", "second", "third", "four"});
    CHECK(contents(path).size() == 4 * 15 + 6 + 7 + 6 + 5);
}

TEST_CASE("mayfly's end also ends the matching of a line") {
    std::atomic<int> asked = 0;
    WatchHooks hooks;
    hooks.should_give_up = [&] {
        // The third check comes long after the second.
        if (asked == 2) std::this_thread::sleep_for(std::chrono::milliseconds(2 * ConsoleWatch::kGiveUpMs));
        return ++asked > 1;
    };
    hooks.decide = [](WatchVerdict) {};
    WatchConfig config;
    config.expect = {"(.?){1000}z", "y$"};
    auto made = ConsoleWatch::create(config, hooks, monotonic_ns());
    REQUIRE(made);
    const std::string line = std::string(3000, 'a') + "zy\n";
    (*made)->take({reinterpret_cast<const u8*>(line.data()), line.size()});
    (*made)->finish();
    CHECK(asked == 3);
    for (const WatchedExpression& expected : (*made)->expected()) CHECK_FALSE(expected.is_seen);
}

TEST_CASE("expressions that are too large together are refused by the first that is too much") {
    WatchConfig config;
    config.expect = std::vector<std::string>(4, "[a-z]{2400}");
    CHECK(ConsoleWatch::create(config, {}, 0));
    config.fail_on = {"a", "b{1000}\x01"};
    const auto made = ConsoleWatch::create(config, {}, 0);
    REQUIRE_FALSE(made);
    CHECK_THAT(made.error().message(), Catch::Contains("--fail-on 'b{1000}\xef\xbf\xbd' is too much") &&
                                           Catch::Contains("10000") && Catch::Contains("write fewer"));
}

TEST_CASE("an invalid expression is refused by its option and text") {
    const auto refusal = [](const WatchConfig& config) {
        const auto made = ConsoleWatch::create(config, {}, 0);
        REQUIRE_FALSE(made);
        return made.error().message();
    };
    CHECK_THAT(refusal({.expect = {"ok", "("}, .fail_on = {}, .log_path = {}, .junit_path = {}}),
               Catch::Contains("--expect '('"));
    CHECK_THAT(refusal({.expect = {}, .fail_on = {"(a)\\1"}, .log_path = {}, .junit_path = {}}),
               Catch::Contains("--fail-on '(a)\\1'"));
}
