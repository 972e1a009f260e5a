// SPDX-License-Identifier: Apache-2.0
#include "vmm/share/share_backend.h"

namespace mayfly {

Result<std::unique_ptr<ShareBackend>> ShareBackend::open(const ShareOptions& options) {
    return fail(Error::host("the FUSE server is not here yet").about(options.directory));
}

}  // namespace mayfly
