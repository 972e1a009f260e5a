// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/shares.h"

#include <linux/errno.h>
#include <linux/mount.h>

#include "firmware/init/set_up.h"
#include "firmware/init/system_call.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

/// In "ro PLACE" and "rw PLACE".
constexpr u64 kModeBytes = 3;

const char* reason_for(long error) {
    switch (error) {
        case ENODEV: return "the kernel has no virtiofs, which comes with mayfly's --modules";
        case EINVAL:
            return "the kernel has not found the device: does it have the driver of its bus? It comes with "
                   "mayfly's --modules";
        case ENOENT: return "the directory does not exist, and cannot be made";
        default: return error_name(error);
    }
}

}  // namespace

long mount_device(const char* tag, const char* place, u64 flags) {
    const long result = system_call(__NR_mount, address(tag), address(place), address("virtiofs"),
                                    flags | MS_NODEV, address(""));
    if (result != 0) say("cannot mount the host's directory ", tag, " at ", place, ": ", reason_for(-result));
    return result;
}

long mount_shares(const char* const* shares) {
    for (; shares[0] != nullptr; shares += 2) {
        const char* const place = shares[0] + kModeBytes;
        const bool is_read_only = shares[0][1] == 'o';
        make_directories(place);
        const long result = mount_device(shares[1], place, is_read_only ? MS_RDONLY : 0);
        if (result != 0) return result;
    }
    return 0;
}

}  // namespace mayfly::init
