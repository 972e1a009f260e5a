// SPDX-License-Identifier: Apache-2.0
// run_program(): starts the program of a job, passes its streams and signals on, and waits for its end.
//
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"
#include "firmware/init/report.h"
#include "firmware/init/streams.h"

namespace mayfly::init {

/// All that it wrote is in the channel then, and so is what it left in its pipes to others.
InitReport run_program(const Job& job, Streams& streams);

}  // namespace mayfly::init
