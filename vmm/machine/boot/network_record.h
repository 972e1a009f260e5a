// SPDX-License-Identifier: Apache-2.0
// network_record(): what init is told of a network (firmware/init/network_job.h). Pure functions. Thread:
// any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/machine/plan/config.h"
#include "vmm/machine/plan/device_plan.h"

namespace mayfly {

/// Whether an IPv4 address comes by DHCP: from passt, which always answers, unless one was given; else where
/// it was asked for.
[[nodiscard]] bool asks_dhcp(const NetConfig& net);

[[nodiscard]] std::string network_record(const NetConfig& net, const MacAddress& mac);

/// The modules of Linux that init needs for that, where the kernel has them as modules.
[[nodiscard]] std::vector<std::string_view> network_modules(const std::vector<NetConfig>& nets);

}  // namespace mayfly
