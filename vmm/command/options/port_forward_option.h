// SPDX-License-Identifier: Apache-2.0
// The value of hostfwd= in --net user, as QEMU's users know it. A pure function.
#pragma once

#include <string_view>

#include "vmm/error/result.h"
#include "vmm/network/port_forward.h"

namespace mayfly {

/// "tcp|udp:[ADDRESS]:PORT-:PORT": of the host, then of the guest. An IPv6 address is in brackets; without
/// one it is every address of the host. Errors: Invalid, with the part and the limit.
Result<PortForward> parse_port_forward(std::string_view text);

}  // namespace mayfly
