// SPDX-License-Identifier: Apache-2.0
// The processors that this process may run on.
//
// Thread: any.
#pragma once

namespace mayfly {

/// Whether it is one alone: whoever waits there by looking around keeps away who makes the work. False where
/// the kernel does not say.
[[nodiscard]] bool has_one_processor();

}  // namespace mayfly
