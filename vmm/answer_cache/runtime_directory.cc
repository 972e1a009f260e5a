// SPDX-License-Identifier: Apache-2.0
#include "vmm/answer_cache/runtime_directory.h"

#include <cstdlib>

#include <sys/auxv.h>

namespace mayfly {

std::string runtime_directory() {
    // A user who runs us with more rights than their own does not choose the directory that we trust.
    if (const char* own = ::secure_getenv("MAYFLY_RUNTIME_DIR"); own != nullptr && *own != '\0')
        return *own == '/' ? own : "";
    if (const char* session = ::secure_getenv("XDG_RUNTIME_DIR"); session != nullptr && *session == '/')
        return std::string(session) + "/mayfly";
    // From the kernel's auxiliary vector, without a system call.
    return ::getauxval(AT_EUID) == 0 ? "/run/mayfly" : "";
}

}  // namespace mayfly
