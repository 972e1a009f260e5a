// SPDX-License-Identifier: Apache-2.0
// CopyPlace: where on the host something of the guest is to go, looked at before the guest runs.
//
// Thread: any.
#pragma once

#include <string>

#include "vmm/error/result.h"
#include "vmm/initramfs/copy_names.h"
#include "vmm/os/unique_fd.h"

namespace mayfly {

inline constexpr const char* kCopyOutOption = "--copy-out";

/// A name in a directory, or what takes bytes as they come: a descriptor that mayfly was started with, a
/// FIFO, a device, an ordinary file in a directory that takes no new one.
struct CopyPlace {
    UniqueFd parent{};
    std::string name{};       ///< in there; what it is now is in the way, and no link that is followed
    std::string shown{};      ///< the path, for messages
    std::string leaf{};       ///< a file's name in there, where that is a directory
    UniqueFd stream{};        ///< instead of both
    bool is_emptied = false;  ///< the stream, before it takes anything
};

/// A link whose name the user spelled is what it leads to. Errors: Invalid, Os: there can be nothing.
Result<CopyPlace> find_place(const CopyOut& copy);

}  // namespace mayfly
