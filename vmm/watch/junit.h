// SPDX-License-Identifier: Apache-2.0
// JunitReport: a boot as a suite of test cases, in the XML that Jenkins, GitLab and GitHub's actions read.
//
// JUnit XML has no standard; this keeps to the common part of the schemas of Jenkins's xunit plugin and of
// Ant. Texts may hold any bytes. Thread: the main thread. Spec: XML 1.0, 5th edition.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/error/ints.h"

namespace mayfly {

struct JunitCase {
    enum class Outcome : u8 {
        Passed,
        Failed,   ///< the guest, the program or an expression
        Error,    ///< mayfly could not do its part
        Skipped,  ///< the boot did not get that far
    };
    std::string class_name;
    std::string name;
    u64 time_ns = 0;
    Outcome outcome = Outcome::Passed;
    std::string type;     ///< of a failure or error, one word
    std::string message;  ///< of any outcome but Passed
};

struct JunitReport {
    std::string suite;
    i64 started_wall_seconds = 0;
    u64 time_ns = 0;
    std::vector<std::pair<std::string, std::string>> properties;
    std::vector<JunitCase> cases;
    std::vector<std::string> system_out;  ///< lines
};

[[nodiscard]] std::string junit_xml(const JunitReport& report);

}  // namespace mayfly
