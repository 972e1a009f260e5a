// SPDX-License-Identifier: Apache-2.0
// A network's record in the job (JobField::Network): the interface, and its configuration.
//
// The interface's MAC address, twelve hexadecimal digits, then words, each behind a space:
//   ip=HEX/BITS=TEXT  an address: 8 or 32 hexadecimal digits, its prefix, and how people write it
//   gw=HEX            the gateway of the default route, of its address's family
//   dns=TEXT          a name server
//   spare=TEXT        a name server for where DHCP names none
//   dhcp=SECONDS      an IPv4 address comes by DHCP, if a server answers within that time
//   near              nobody but a monitor is on the link: no IPv6 address can be in use elsewhere
// Shared by both sides: no header here may need a library. Thread: any.
#pragma once

namespace mayfly::network_job {

inline constexpr char kAddress[] = "ip=";
inline constexpr char kGateway[] = "gw=";
inline constexpr char kNameServer[] = "dns=";
inline constexpr char kSpareNameServer[] = "spare=";
inline constexpr char kDhcp[] = "dhcp=";
inline constexpr char kNear[] = "near";

}  // namespace mayfly::network_job
