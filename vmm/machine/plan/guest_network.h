// SPDX-License-Identifier: Apache-2.0
// GuestNetwork: the addresses and routes of a guest's interface that mayfly's init configures. Values only.
#pragma once

#include <vector>

#include "vmm/network/ip_address.h"

namespace mayfly {

struct InterfaceAddress {
    IpAddress address;
    u8 prefix_bits = 0;  ///< 1 to bits_max()

    friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct GuestNetwork {
    std::vector<InterfaceAddress> addresses;
    std::vector<IpAddress> gateways;  ///< of the default routes, one of a family at most
    std::vector<IpAddress> name_servers;
    bool wants_dhcp = false;  ///< requested explicitly

    [[nodiscard]] bool is_empty() const {
        return addresses.empty() && gateways.empty() && name_servers.empty() && !wants_dhcp;
    }
};

}  // namespace mayfly
