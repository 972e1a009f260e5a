// SPDX-License-Identifier: Apache-2.0
// Several initial RAM disks as one, as boot loaders hand them over: one behind the other.
#pragma once

#include <span>

#include "firmware/image/image.h"

namespace mayfly {

/// The images' bytes, each padded with zeroes to a multiple of 4, where Linux looks for the next archive
/// (Linux Documentation/driver-api/early-userspace/buffer-format.rst "initramfs buffer format"). Errors:
/// Invalid where they are larger than `bytes_max`; Os; as Image::read().
Result<Image> join_images(std::span<const Image> images, u64 bytes_max, StopToken stop);

}  // namespace mayfly
