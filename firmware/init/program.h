// SPDX-License-Identifier: Apache-2.0
// run_program(): starts the program of a job, forwards its streams and signals, and waits for its end.
//
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"
#include "firmware/init/report.h"
#include "firmware/init/streams.h"

namespace mayfly::init {

/// Its whole output is in the channel then, including output of other processes that was left in its pipes.
InitReport run_program(const Job& job, Streams& streams);

}  // namespace mayfly::init
