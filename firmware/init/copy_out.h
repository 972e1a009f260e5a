// SPDX-License-Identifier: Apache-2.0
// copy_out(): sends the monitor the files that it asked for (firmware/init/file_records.h).
//
// Links within a directory are sent as links; the requested path itself is resolved as usual. Virtual file
// systems are not entered. Thread: init's only one.
#pragma once

#include "firmware/init/streams.h"

namespace mayfly::init {

/// `paths` are absolute and end with null. Ends early where the monitor takes no more.
void copy_out(const char* const* paths, Streams& streams);

}  // namespace mayfly::init
