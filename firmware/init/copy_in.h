// SPDX-License-Identifier: Apache-2.0
// copy_in(): puts files that were unpacked beside a live root over that root.
//
// Thread: init's only one.
#pragma once

namespace mayfly::init {

/// Moves the content of `from` into `to`. A directory's content is merged into a directory of that name, also
/// behind a symbolic link; anything else replaces the existing file. Modes, owners and times are kept; hard
/// links become separate files. Without a directory `from` it does nothing. Reports the first error, and
/// stops there. \returns 0, or a negated errno.
long copy_in(const char* from, const char* to);

}  // namespace mayfly::init
