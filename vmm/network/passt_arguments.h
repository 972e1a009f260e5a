// SPDX-License-Identifier: Apache-2.0
// The command line of passt for --net user, and the meaning of its messages. Pure functions. Thread: any.
// Spec: man passt(1), of version 2023_03_09 (Debian 12) and later.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/network/port_forward.h"

namespace mayfly {

struct UserNetworkOptions {
    std::vector<PortForward> forwards;
    std::optional<u16> mtu;          ///< bytes without the link's header, told to the guest by DHCP
    bool has_host_loopback = false;  ///< the gateway's address leads to this host's loopback
};

/// The address for guests' DNS queries, independent of the host's resolver: by UDP, in newer versions by TCP.
constexpr std::string_view kDnsAddress = "169.254.1.1";

/// All words, beginning with the program; `fd` is its end of the socket pair.
[[nodiscard]] std::vector<std::string> passt_arguments(const UserNetworkOptions& options, int fd);

/// The line of its standard error output that tells why it ended, with a remedy where that is not obvious;
/// empty without such a line.
[[nodiscard]] std::string passt_last_words(std::string_view text);

}  // namespace mayfly
