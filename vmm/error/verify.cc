// SPDX-License-Identifier: Apache-2.0
#include "vmm/error/verify.h"

#include <cstdio>
#include <cstdlib>

namespace mayfly {

void verify_failed(const char* condition, const char* file, int line) {
    std::fprintf(stderr, "mayfly: bug: %s failed at %s:%d\n", condition, file, line);
    std::abort();
}

}  // namespace mayfly
