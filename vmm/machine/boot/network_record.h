// SPDX-License-Identifier: Apache-2.0
// network_record(): a network's record in init's job (firmware/init/network_job.h). Pure functions. Thread:
// any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/machine/plan/config.h"
#include "vmm/machine/plan/device_plan.h"

namespace mayfly {

/// Whether an IPv4 address comes by DHCP: from passt, which always answers, unless an address was given;
/// elsewhere on request.
[[nodiscard]] bool asks_dhcp(const NetConfig& net);

[[nodiscard]] std::string network_record(const NetConfig& net, const MacAddress& mac);

/// The Linux modules that init needs for DHCP, where the kernel has not built them in.
[[nodiscard]] std::vector<std::string_view> network_modules(const std::vector<NetConfig>& nets);

}  // namespace mayfly
