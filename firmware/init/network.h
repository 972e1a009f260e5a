// SPDX-License-Identifier: Apache-2.0
// set_up_networks(): configures the guest's interfaces as the job says, and writes the resulting names into
// the root.
//
// Thread: init's only one.
#pragma once

#include "firmware/init/job_reader.h"

namespace mayfly::init {

/// Reports errors. \returns 0, or a negated errno where an explicit address or gateway could not be set: the
/// program would not be where its user wants it. A missing DHCP answer is not such a failure.
long set_up_networks(const Job& job);

}  // namespace mayfly::init
