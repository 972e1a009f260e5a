// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/junit.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("a report has a case for each check, with counts, times and the console's tail") {
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
