// SPDX-License-Identifier: Apache-2.0
// How the passt of --net user is called, and what to make of what it says. Pure functions. Thread: any.
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

/// Where guests may send their DNS queries, whatever the host's resolver is: by UDP, in newer versions by
/// TCP.
constexpr std::string_view kDnsAddress = "169.254.1.1";

/// All words, the program's own first; `fd` is its end of the socket pair.
[[nodiscard]] std::vector<std::string> passt_arguments(const UserNetworkOptions& options, int fd);

/// The line of its standard error output that says why it ended, with what to do where that is not plain;
/// empty when none does.
[[nodiscard]] std::string passt_last_words(std::string_view text);

}  // namespace mayfly
