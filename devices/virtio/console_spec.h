// SPDX-License-Identifier: Apache-2.0
// The console device's interface, by the specification's names.
//
// Spec: virtio 1.2 §5.3 "Console Device": §5.3.3 "Feature bits", §5.3.4 "Device configuration layout".
#pragma once

#include "vmm/error/ints.h"

namespace mayfly::virtio_console {

constexpr u64 F_SIZE = u64{1} << 0;
constexpr u64 F_EMERG_WRITE = u64{1} << 2;

constexpr u16 RECEIVEQ = 0;
constexpr u16 TRANSMITQ = 1;

struct Config {
    u16 cols;
    u16 rows;
    u32 max_nr_ports;
    u32 emerg_wr;
};

}  // namespace mayfly::virtio_console
