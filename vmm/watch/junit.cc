// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/junit.h"

#include <algorithm>

#include <fmt/format.h>

#include "vmm/os/clock.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

std::string safe(std::string_view text) { return xml_escaped(shown(text)); }

std::string seconds(u64 time_ns) {
    return fmt::format("{}.{:06}", time_ns / 1'000'000'000, time_ns % 1'000'000'000 / 1000);
}

/// ISO 8601, UTC, without a zone, as the schemas require.
std::string date(i64 wall_seconds) {
    const UtcTime at = utc_time(wall_seconds);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", at.year, at.month, at.day, at.hour, at.minute,
                       at.second);
}

std::string counts(const JunitReport& report) {
    const auto count = [&](JunitCase::Outcome outcome) {
        return std::count_if(report.cases.begin(), report.cases.end(),
                             [&](const JunitCase& one) { return one.outcome == outcome; });
    };
    return fmt::format(R"(tests="{}" failures="{}" errors="{}" skipped="{}" time="{}")", report.cases.size(),
                       count(JunitCase::Outcome::Failed), count(JunitCase::Outcome::Error),
                       count(JunitCase::Outcome::Skipped), seconds(report.time_ns));
}

std::string case_xml(const JunitCase& one) {
    const std::string head = fmt::format(R"(    <testcase classname="{}" name="{}" time="{}")",
                                         safe(one.class_name), safe(one.name), seconds(one.time_ns));
    if (one.outcome == JunitCase::Outcome::Passed) return head + "/>\n";
    const std::string message = safe(one.message);
    if (one.outcome == JunitCase::Outcome::Skipped)
        return fmt::format("{}>\n      <skipped message=\"{}\"/>\n    </testcase>\n", head, message);
    const std::string_view element = one.outcome == JunitCase::Outcome::Failed ? "failure" : "error";
    return fmt::format("{0}>\n      <{1} type=\"{2}\" message=\"{3}\">{3}</{1}>\n    </testcase>\n", head,
                       element, safe(one.type), message);
}

}  // namespace

std::string junit_xml(const JunitReport& report) {
    std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    xml += fmt::format("<testsuites name=\"mayfly\" {}>\n", counts(report));
    xml += fmt::format("  <testsuite name=\"{}\" {} timestamp=\"{}\">\n", safe(report.suite), counts(report),
                       date(report.started_wall_seconds));
    xml += "    <properties>\n";
    for (const auto& [name, value] : report.properties)
        xml += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", safe(name), safe(value));
    xml += "    </properties>\n";
    for (const JunitCase& one : report.cases) xml += case_xml(one);
    xml += "    <system-out>";
    for (const std::string& line : report.system_out) xml += safe(line) + "\n";
    xml += "</system-out>\n  </testsuite>\n</testsuites>\n";
    return xml;
}

}  // namespace mayfly
