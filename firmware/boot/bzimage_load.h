// SPDX-License-Identifier: Apache-2.0
// Loading of a bzImage: its payload is unpacked on the host and the ELF inside is entered directly; without
// one, the protected-mode part is loaded whole and entered as a boot loader would.
//
// Spec: Linux Documentation/arch/x86/boot.rst "The Linux/x86 Boot Protocol".
// Thread: one thread, before any vCPU runs.
#pragma once

#include <optional>

#include "firmware/boot/boot.h"

namespace mayfly {

/// `bz` belongs to the image, in both functions. The payload; empty where its kind is unknown.
/// Errors: as load_bzimage().
Result<std::optional<Image>> unpack_bzimage(const Image& image, const BzImage& bz, u64 memory_bytes);

/// Uses `request.vmlinux` as the payload when it is given.
/// Errors: Invalid, as load_guest(); bzip2 and LZO payloads by name.
Result<EntryState> load_bzimage(const Image& image, const BzImage& bz, const BootRequest& request,
                                GuestRam& ram, const MemoryMap& map);

}  // namespace mayfly
