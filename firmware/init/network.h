// SPDX-License-Identifier: Apache-2.0
// set_up_networks(): the guest's interfaces get what the job has for them, and the root the names that
// follow.
//
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"

namespace mayfly::init {

/// Says what it cannot do. \returns 0, or a negated errno where an interface has not got an address or a
/// gateway that was asked for by name: the program would not be where its user wants it. Nobody who answers
/// to DHCP is no such failure.
long set_up_networks(const Job& job);

}  // namespace mayfly::init
