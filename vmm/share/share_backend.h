// SPDX-License-Identifier: Apache-2.0
// ShareBackend: a directory of the host as a file system for the guest: a FUSE server on a loop of its own.
//
// Nothing that the guest says is believed: see FuseServer. Thread: as FsBackend and Backend say.
#pragma once

#include <memory>

#include "devices/virtio/fs/fs_backend.h"
#include "vmm/error/result.h"
#include "vmm/loop/backend.h"
#include "vmm/share/share_options.h"

namespace mayfly {

class ShareBackend : public FsBackend, public Backend {
  public:
    /// Errors: the directory cannot be opened, or is none.
    static Result<std::unique_ptr<ShareBackend>> open(const ShareOptions& options);
};

}  // namespace mayfly
