// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/junit.h"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/watch/scratch_file.h"

using namespace mayfly;

namespace {

bool patient() { return false; }

}  // namespace

TEST_CASE("a report has a case for each thing that was asked, with counts, times and the console's tail") {
    JunitReport report;
    report.suite = "mayfly boot";
    report.started_wall_seconds = 1'700'000'000;
    report.time_ns = 1'234'567'890;
    report.properties = {{"kernel", "vm<linuz"}};
    report.cases = {
        {.class_name = "mayfly.boot", .name = "vmlinuz", .time_ns = 1'000, .type = {}, .message = {}},
        {.class_name = "mayfly.expect",
         .name = "a\"b",
         .outcome = JunitCase::Outcome::Failed,
         .type = "missing",
         .message = "never seen"},
        {.class_name = "mayfly.exec",
         .name = "/bin/true",
         .outcome = JunitCase::Outcome::Skipped,
         .type = {},
         .message = "not run"},
    };
    report.system_out = {"one", "two & three"};
    CHECK(junit_xml(report) ==
          R"(<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="mayfly" tests="3" failures="1" errors="0" skipped="1" time="1.234567">
  <testsuite name="mayfly boot" tests="3" failures="1" errors="0" skipped="1" time="1.234567" )"
          R"(timestamp="2023-11-14T22:13:20">
    <properties>
      <property name="kernel" value="vm&lt;linuz"/>
    </properties>
    <testcase classname="mayfly.boot" name="vmlinuz" time="0.000001"/>
    <testcase classname="mayfly.expect" name="a&quot;b" time="0.000000">
      <failure type="missing" message="never seen">never seen</failure>
    </testcase>
    <testcase classname="mayfly.exec" name="/bin/true" time="0.000000">
      <skipped message="not run"/>
    </testcase>
    <system-out>one
two &amp; three
</system-out>
  </testsuite>
</testsuites>
)");
}

TEST_CASE("a report's date is right in leap years, at year's ends and after 2038") {
    const auto date = [](i64 seconds) {
        JunitReport report;
        report.started_wall_seconds = seconds;
        const std::string xml = junit_xml(report);
        return xml.substr(xml.find("timestamp=") + 11, 19);
    };
    CHECK(date(0) == "1970-01-01T00:00:00");
    CHECK(date(951'782'400) == "2000-02-29T00:00:00");
    CHECK(date(1'709'251'199) == "2024-02-29T23:59:59");
    CHECK(date(1'735'689'599) == "2024-12-31T23:59:59");
    CHECK(date(1'735'689'600) == "2025-01-01T00:00:00");
    CHECK(date(4'107'542'400) == "2100-03-01T00:00:00");
    CHECK(date(13'574'563'200) == "2400-02-29T00:00:00");
}

TEST_CASE("a report replaces an older one and leaves nothing beside it") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("report.xml");
    std::ofstream(path) << std::string(1000, 'x');
    REQUIRE(write_junit(path, "<new/>", patient));
    CHECK(contents(path) == "<new/>");
    const std::string others = "test \"$(ls " + scratch.path() + ")\" = report.xml";
    CHECK(std::system(others.c_str()) == 0);
}

TEST_CASE("a report is written through a link and into a device, which stay what they are") {
    const ScratchDirectory scratch;
    REQUIRE(::symlink(scratch.file("target").c_str(), scratch.file("link").c_str()) == 0);
    REQUIRE(write_junit(scratch.file("link"), "<new/>", patient));
    CHECK(contents(scratch.file("target")) == "<new/>");
    REQUIRE(write_junit("/dev/null", "<new/>", patient));
    struct stat there {};
    REQUIRE(::stat("/dev/null", &there) == 0);
    CHECK(S_ISCHR(there.st_mode));
}

TEST_CASE("a report that cannot be written is an error with its path") {
    const Result<void> full = write_junit("/dev/full", "<new/>", patient);
    REQUIRE_FALSE(full);
    CHECK_THAT(full.error().message(), Catch::Contains("--junit") && Catch::Contains("/dev/full"));
    const Result<void> nowhere = write_junit("/no/such/directory/report.xml", "<new/>", patient);
    REQUIRE_FALSE(nowhere);
    CHECK_THAT(nowhere.error().message(), Catch::Contains("/no/such/directory/report.xml"));
}

TEST_CASE("a FIFO whose reader has stalled ends a report's writing once somebody presses") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("fifo");
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 10'000}, {0, 10'000}};
    ::setitimer(ITIMER_REAL, &often, nullptr);
    int asked = 0;
    const Result<void> stalled = write_junit(path, std::string(1 << 20, 'x'), [&] { return ++asked == 3; });
    ::setitimer(ITIMER_REAL, nullptr, nullptr);
    REQUIRE_FALSE(stalled);
    CHECK_THAT(stalled.error().message(), Catch::Contains("its reader has stalled"));
    CHECK(asked == 3);
    ::close(reader);
}
