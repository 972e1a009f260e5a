// SPDX-License-Identifier: Apache-2.0
// Finds a program that is named as in a shell. Thread: any, while none sets the environment.
#pragma once

#include <string>

#include "vmm/error/result.h"

namespace mayfly {

/// The program as execve(2) needs it: a word with a slash as it is, else found along PATH. Errors: Invalid
/// when that is not an executable file.
Result<std::string> find_program(const std::string& word);

}  // namespace mayfly
