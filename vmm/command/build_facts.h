// SPDX-License-Identifier: Apache-2.0
// Which commit this program was built from.
//
// In a file of its own: it is all that is compiled again when only the commit has changed.
#pragma once

namespace mayfly {

/// As `git describe` tells it, "unknown" where the source is not a clone. "-dirty": with changes.
[[nodiscard]] const char* build_commit();

}  // namespace mayfly
