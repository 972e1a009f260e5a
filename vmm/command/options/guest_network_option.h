// SPDX-License-Identifier: Apache-2.0
// The values of ip=, gw= and dns= in --net, and what they may not be together. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/machine/plan/config.h"

namespace mayfly {

/// Whether `key` is one of them.
[[nodiscard]] bool is_guest_network_key(std::string_view key);

/// "ip=ADDRESS/BITS", "ip=dhcp", "gw=ADDRESS" or "dns=ADDRESS". Errors: Invalid, with the value and what is
/// wrong with it.
Result<void> read_guest_network_key(std::string_view key, const std::string& value, GuestNetwork& network);

/// Of one --net, once all of its keys are read. Errors: Invalid for a gateway that is out of reach.
Result<void> check_guest_network(const GuestNetwork& network);

/// Of all. Errors: Invalid without our init, and where two of them contradict each other.
Result<void> check_guest_networks(const std::vector<NetConfig>& nets, bool has_exec);

}  // namespace mayfly
