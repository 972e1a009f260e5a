// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/init_image.h"

// image.S puts the ELF file between them.
extern "C" const std::byte init_image_begin[];
extern "C" const std::byte init_image_end[];

namespace mayfly {

std::span<const std::byte> init_image() { return {init_image_begin, init_image_end}; }

}  // namespace mayfly
