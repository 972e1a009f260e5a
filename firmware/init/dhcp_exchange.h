// SPDX-License-Identifier: Apache-2.0
// ask_for_address(): an exchange with a DHCP server, from the first message to the server's acknowledgement.
//
// The address is not given back, and its time is not looked at: it lasts as long as the guest.
// Thread: init's only one. Spec: RFC 2131 §3.1 "Client-server interaction - allocating a network address";
// packet(7).
#pragma once

#include "firmware/init/dhcp.h"
#include "firmware/init/links.h"

namespace mayfly::init {

/// On a link that is up. \returns 0 with `lease` filled; a negated errno: EAFNOSUPPORT where the kernel has
/// no packet sockets, ETIMEDOUT when that many seconds have passed, however much was heard in them.
long ask_for_address(u32 link_index, const Mac& mac, u32 limit_seconds, DhcpAnswer& lease);

}  // namespace mayfly::init
