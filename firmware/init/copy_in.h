// SPDX-License-Identifier: Apache-2.0
// copy_in(): what was unpacked beside a live root comes over it.
//
// Thread: init's only one.
#pragma once

namespace mayfly::init {

/// Moves what is in `from` into `to`. A directory's content comes to what a directory of that name has, also
/// behind a symbolic link; anything else takes the place of what is there. Modes, owners and times are kept;
/// hard links become files of their own. Without a directory `from` there is nothing to do. Says what it
/// cannot do, and stops there. \returns 0, or a negated errno.
long copy_in(const char* from, const char* to);

}  // namespace mayfly::init
