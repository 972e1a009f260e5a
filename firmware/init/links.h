// SPDX-License-Identifier: Apache-2.0
// Links: the guest's network interfaces, found by their MAC address and configured.
//
// Errors are negated errnos. Thread: init's only one. Spec: rtnetlink(7), netdevice(7).
#pragma once

#include <cstddef>

#include "vmm/error/ints.h"

namespace mayfly::init {

struct Mac {
    u8 bytes[6];
};

/// Of either family, as on the wire.
struct IpAddress {
    u8 bytes[16];
    u8 size_bytes;  ///< 4 or 16
};

struct Link {
    u32 index;      ///< 0: absent
    char name[16];  ///< ends with a NUL
};

class Links {
  public:
    /// Once, before the others; without sockets they find nothing, and fail.
    void open();

    /// The first Ethernet interface with that address.
    [[nodiscard]] Link find(const Mac& mac) const;
    [[nodiscard]] long bring_up(u32 index) const;
    [[nodiscard]] long set_mtu(u32 index, u32 mtu) const;
    /// An IPv6 address can be used at once, without duplicate address detection.
    [[nodiscard]] long add_address(u32 index, const IpAddress& address, u8 prefix_bits) const;
    /// The gateway is assumed to be on the link, whatever addresses the link has.
    [[nodiscard]] long add_default_route(u32 index, const IpAddress& gateway) const;

  private:
    class Request;
    long ask(Request& request) const;

    int control_ = -1;  ///< for netdevice(7)'s requests
    int routes_ = -1;   ///< for rtnetlink(7)'s
};

}  // namespace mayfly::init
