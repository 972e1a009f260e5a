// SPDX-License-Identifier: Apache-2.0
// What a directory of the host is to a guest that has it as its root. Thread: any.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

enum class RootKind : u8 {
    Packed,    ///< a copy is the guest's, in the initramfs
    Overlay,   ///< it is shared and read; what the guest writes lies over it, in the guest's memory
    Writable,  ///< it is shared, and written
};

}  // namespace mayfly
