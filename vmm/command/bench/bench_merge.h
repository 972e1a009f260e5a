// SPDX-License-Identifier: Apache-2.0
// The command `bench merge`: JSON reports of several machines or days as one.
//
// Thread: the main thread.
#pragma once

namespace mayfly {

/// `argv` starts at "merge". Prints its own errors on stderr. Returns 0, or 125.
int bench_merge_command(int argc, char** argv);

}  // namespace mayfly
