// SPDX-License-Identifier: Apache-2.0
// The guest's program: where it is, and whether a guest with this root could execute it at all.
//
// Missing files are found before a machine is made; whether the program then works is not checked: shared
// libraries are not looked up. Thread: any.
#pragma once

#include <optional>
#include <string>

#include "vmm/error/ints.h"
#include "vmm/error/result.h"
#include "vmm/initramfs/root_directory.h"

namespace mayfly {

/// A file of the host that is packed beside the root.
struct HostProgram {
    UniqueFd file;
    u64 size_bytes = 0;
    u32 mtime = 0;
};

struct Program {
    std::string guest_path;  ///< absolute: what our init executes
    std::optional<HostProgram> host{};
};

/// `root` is null for none. Errors: NotFound; Invalid, with a remedy, for a file that Linux would not
/// execute.
Result<Program> find_program(const std::string& program, const RootDirectory* root);

}  // namespace mayfly
