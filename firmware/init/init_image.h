// SPDX-License-Identifier: Apache-2.0
// Our init as data: the static ELF file that an initramfs of ours holds at /.mayfly/init.
//
// Thread: any.
#pragma once

#include <cstddef>
#include <span>

namespace mayfly {

[[nodiscard]] std::span<const std::byte> init_image();

}  // namespace mayfly
