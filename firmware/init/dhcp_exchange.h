// SPDX-License-Identifier: Apache-2.0
// ask_for_address(): an exchange with a DHCP server, from the first message to the server's acknowledgement.
//
// The address is never released, and its lease time ignored: it is kept as long as the guest runs.
// Thread: init's only one. Spec: RFC 2131 §3.1 "Client-server interaction - allocating a network address";
// packet(7).
#pragma once

#include "firmware/init/dhcp.h"
#include "firmware/init/links.h"

namespace mayfly::init {

/// On a link that is up. \returns 0 with `lease` filled; a negated errno: EAFNOSUPPORT where the kernel has
/// no packet sockets, ETIMEDOUT after `limit_seconds`, whatever other packets came.
long ask_for_address(u32 link_index, const Mac& mac, u32 limit_seconds, DhcpAnswer& lease);

}  // namespace mayfly::init
