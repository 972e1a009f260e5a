// SPDX-License-Identifier: Apache-2.0
// Whether a guest's frame would make passt connect to this host's loopback.
//
// passt makes connections to the addresses in frames, and until 2024 also to loopback ones: --no-map-gw only
// prevents replacing the gateway's address by them. A pure function. Thread: any.
// Spec: RFC 1122 §3.2.1.3 "Addressing"; RFC 4291 §2.5 "Unicast Addresses".
#pragma once

#include <cstddef>
#include <span>

namespace mayfly {

/// Ethernet's header and IPv6's, the longer one.
constexpr std::size_t kGuardedHeadBytes = 14 + 40;

/// `head`: the frame's first kGuardedHeadBytes bytes, or all of a shorter one. True also for a truncated IP
/// header.
[[nodiscard]] bool leads_to_loopback(std::span<const std::byte> head);

}  // namespace mayfly
