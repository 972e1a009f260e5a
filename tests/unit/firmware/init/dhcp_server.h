// SPDX-License-Identifier: Apache-2.0
// A DHCP server's messages, byte by byte: RFC 2131 §2 "Protocol Summary", behind IPv4's header and UDP's.
#pragma once

#include <cstddef>
#include <vector>

#include "firmware/init/dhcp.h"

namespace mayfly::test {

using Bytes = std::vector<u8>;

inline constexpr init::DhcpClient kClient{{0x02, 0x11, 0x22, 0x33, 0x44, 0x55}, 0x1234'5678};
inline constexpr std::size_t kMessageAt = 28;
inline constexpr std::size_t kOptionsAt = kMessageAt + 240;

void put_u16(Bytes& bytes, std::size_t at, std::size_t value);

/// From 192.0.2.1's port 67 to port 68, with 192.0.2.77 for kClient, and these options.
[[nodiscard]] Bytes answer_with(const Bytes& options);

/// Options that every answer has, its type and the server's 192.0.2.1, then others and the end.
[[nodiscard]] Bytes plus(u8 type, const Bytes& more);

}  // namespace mayfly::test
