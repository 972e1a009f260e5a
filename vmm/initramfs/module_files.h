// SPDX-License-Identifier: Apache-2.0
// The directory of a kernel's modules: finding it, and packing what a guest is to load.
//
// Thread: one.
#pragma once

#include <string>
#include <vector>

#include "vmm/error/result.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/initramfs.h"

namespace mayfly {

/// A module in the archive.
struct PackedModule {
    std::string path;  ///< absolute, in the guest
    bool is_optional;  ///< the guest can do without it
};

/// Packs the wanted modules and their dependencies, uncompressed, under .mayfly/modules/, which it adds.
/// Nothing outside of the directory of modules is opened. In load order. Errors: Invalid, Os: about the
/// directory or a file; Stopped.
Result<std::vector<PackedModule>> pack_modules(const InitramfsRequest& request, ArchiveWriter& archive);

}  // namespace mayfly
