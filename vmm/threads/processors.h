// SPDX-License-Identifier: Apache-2.0
// The processors that this process may run on.
//
// Thread: any.
#pragma once

namespace mayfly {

/// Whether it is a single one: a thread that polls there keeps the producer of its work from running. False
/// where the kernel does not tell.
[[nodiscard]] bool has_one_processor();

}  // namespace mayfly
