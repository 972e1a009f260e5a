// SPDX-License-Identifier: Apache-2.0
// The file system device by the specification's names: queues and configuration.
//
// Spec: virtio 1.2 §5.11 "File System Device".
#pragma once

#include <cstddef>

#include "vmm/error/ints.h"
#include "vmm/memory/wire.h"

namespace mayfly::fs {

// §5.11.2 "Virtqueues", without F_NOTIFICATION
constexpr u16 QUEUE_HIPRIO = 0;
constexpr u16 QUEUE_REQUESTS = 1;  ///< the first

constexpr u32 TAG_BYTES = 36;

/// §5.11.4 "Device configuration layout": struct virtio_fs_config, as far as it is there without
/// F_NOTIFICATION
struct Config {
    u8 tag[TAG_BYTES];  ///< UTF-8; NUL behind it where there is room
    u32 num_request_queues;
};
static_assert(sizeof(Config) == 40 && WireType<Config>);
static_assert(offsetof(Config, num_request_queues) == 36);

}  // namespace mayfly::fs
