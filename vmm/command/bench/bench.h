// SPDX-License-Identifier: Apache-2.0
// The command bench: boots measured, many times over.
//
// Thread: the main thread.
#pragma once

namespace mayfly {

/// `mayfly bench`. `argv` starts at "bench". Prints its own errors on stderr. Returns 0 when all runs ended
/// as expected, 1 when some failed, 125 when it could not measure.
int bench_command(int argc, char** argv);

}  // namespace mayfly
