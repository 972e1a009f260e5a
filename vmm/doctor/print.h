// SPDX-License-Identifier: Apache-2.0
// print: a diagnosis as text for people and as JSON for scripts. Pure functions.
#pragma once

#include <string>

#include "vmm/doctor/judge.h"

namespace mayfly {

struct TextStyle {
    u32 columns = 80;  ///< lines are broken before this; commands never are
    bool has_colour = false;
};

[[nodiscard]] std::string doctor_text(const Diagnosis& diagnosis, TextStyle style);

/// The findings, and the numbers that they rest on.
[[nodiscard]] std::string doctor_json(const Diagnosis& diagnosis, const Facts& facts);

}  // namespace mayfly
