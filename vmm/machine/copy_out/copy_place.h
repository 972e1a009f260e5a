// SPDX-License-Identifier: Apache-2.0
// CopyPlace: a destination on the host for a file of the guest, checked before the guest runs.
//
// Thread: any.
#pragma once

#include <string>

#include "vmm/error/result.h"
#include "vmm/initramfs/copy_names.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

inline constexpr const char* kCopyOutOption = "--copy-out";

/// A name in a directory, or a stream: a descriptor that mayfly was started with, a FIFO, a device, an
/// ordinary file in a directory that takes no new one.
struct CopyPlace {
    UniqueFd parent{};
    std::string name{};  ///< the name in that directory; a file of that name is replaced, a link not followed
    std::string shown{};      ///< the path, for messages
    std::string leaf{};       ///< a file's name in there, where that is a directory
    UniqueFd stream{};        ///< instead of both
    bool is_emptied = false;  ///< the stream, before it takes anything
};

/// A link that the user names stands for its target. Errors: Invalid, Os: nothing can be written there.
Result<CopyPlace> find_place(const CopyOut& copy);

}  // namespace mayfly
