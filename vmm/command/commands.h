// SPDX-License-Identifier: Apache-2.0
// The small commands. Each returns the process's exit status and prints its own errors on stderr.
//
// Thread: the main thread.
#pragma once

namespace mayfly {

/// `mayfly doctor`. Returns 0 when this host can boot guests, else 125.
int doctor_command(bool is_json);

/// `mayfly version`.
int version_command(bool is_json);

}  // namespace mayfly
