// SPDX-License-Identifier: Apache-2.0
// PortForward: a port of this host whose connections go to the guest. A plain value.
#pragma once

#include <string>

#include "vmm/error/ints.h"

namespace mayfly {

struct PortForward {
    enum class Protocol : u8 { Tcp, Udp };
    Protocol protocol = Protocol::Tcp;
    std::string host_address;  ///< IPv4 or IPv6, without brackets; empty: every address of this host
    u16 host_port = 0;
    u16 guest_port = 0;
    friend bool operator==(const PortForward&, const PortForward&) = default;
};

}  // namespace mayfly
