// SPDX-License-Identifier: Apache-2.0
// The messages that init's code would have printed on a guest's console, for tests.
#pragma once

#include <string>

namespace mayfly::test {

/// All messages since the last call, a line for each.
std::string take_said();

}  // namespace mayfly::test
