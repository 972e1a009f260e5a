// SPDX-License-Identifier: Apache-2.0
// What init's code would have said on the console of a guest, for tests.
#pragma once

#include <string>

namespace mayfly::test {

/// All that was said since the last call, a line for each.
std::string take_said();

}  // namespace mayfly::test
