// SPDX-License-Identifier: Apache-2.0
// The values of --copy-in and --copy-out.
//
// HOST:GUEST and GUEST:HOST. GUEST is absolute; a colon in it is written \:. Thread: any.
#pragma once

#include <string>

#include "vmm/error/result.h"
#include "vmm/initramfs/copy_names.h"

namespace mayfly {

/// Errors: Invalid.
Result<CopyIn> parse_copy_in(const std::string& text);
Result<CopyOut> parse_copy_out(const std::string& text);

}  // namespace mayfly
