// SPDX-License-Identifier: Apache-2.0
// Whether a guest's frame would have passt connect to this host's loopback.
//
// passt makes connections to the addresses that it finds in frames, and until 2024 it did so with loopback
// ones too: --no-map-gw only keeps it from putting them in the gateway's place. A pure function. Thread: any.
// Spec: RFC 1122 §3.2.1.3 "Addressing"; RFC 4291 §2.5 "Unicast Addresses".
#pragma once

#include <cstddef>
#include <span>

namespace mayfly {

/// Ethernet's header and IPv6's, the longer one.
constexpr std::size_t kGuardedHeadBytes = 14 + 40;

/// `head`: the frame's first kGuardedHeadBytes bytes, or all of a shorter one. True also for an IP header
/// that is cut.
[[nodiscard]] bool leads_to_loopback(std::span<const std::byte> head);

}  // namespace mayfly
