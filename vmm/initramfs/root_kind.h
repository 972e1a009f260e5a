// SPDX-License-Identifier: Apache-2.0
// How a guest uses a directory of the host as its root. Thread: any.
#pragma once

#include "vmm/error/ints.h"

namespace mayfly {

enum class RootKind : u8 {
    Packed,    ///< the guest has a copy, in the initramfs
    Overlay,   ///< it is shared and read; the guest's writes lie over it, in the guest's memory
    Writable,  ///< it is shared, and written
};

}  // namespace mayfly
