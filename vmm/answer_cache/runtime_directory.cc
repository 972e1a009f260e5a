// SPDX-License-Identifier: Apache-2.0
#include "vmm/answer_cache/runtime_directory.h"

#include <cstdlib>

#include <sys/auxv.h>

namespace mayfly {

std::string runtime_directory() {
    // Whoever runs us with more rights than they have does not choose what we trust.
    if (const char* own = ::secure_getenv("MAYFLY_RUNTIME_DIR"); own != nullptr && *own != '\0')
        return *own == '/' ? own : "";
    if (const char* session = ::secure_getenv("XDG_RUNTIME_DIR"); session != nullptr && *session == '/')
        return std::string(session) + "/mayfly";
    // The kernel's word at exec, which takes no call.
    return ::getauxval(AT_EUID) == 0 ? "/run/mayfly" : "";
}

}  // namespace mayfly
