// SPDX-License-Identifier: Apache-2.0
// Finds the holder of a file's flock(2), for a message.
//
// Specification: proc(5), "/proc/locks". Thread: any.
#pragma once

#include <string>
#include <string_view>

#include <sys/stat.h>
#include <sys/types.h>

#include "vmm/os/unique_fd.h"

namespace mayfly {

/// The process that `locks`, the text of /proc/locks, names for the file; 0 for none. A process of another
/// PID namespace is not named.
[[nodiscard]] pid_t find_lock_holder(std::string_view locks, const struct stat& file);

/// "process 1234 (qemu-system-x86)", or as much as is known: follows "in use by".
[[nodiscard]] std::string lock_holder(const UniqueFd& fd);

}  // namespace mayfly
