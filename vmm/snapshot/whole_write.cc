// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/whole_write.h"

#include <cerrno>

#include <unistd.h>

namespace mayfly {

Result<void> write_whole(const UniqueFd& file, std::span<const std::byte> bytes, u64 offset_bytes) {
    while (!bytes.empty()) {
        const ssize_t done =
            ::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset_bytes));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail(Error::os("write"));
        bytes = bytes.subspan(static_cast<std::size_t>(done));
        offset_bytes += static_cast<u64>(done);
    }
    return {};
}

}  // namespace mayfly
