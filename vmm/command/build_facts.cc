// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/build_facts.h"

#include <build_commit.h>

namespace mayfly {

const char* build_commit() { return MAYFLY_COMMIT; }

}  // namespace mayfly
