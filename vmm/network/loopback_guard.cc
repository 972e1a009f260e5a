// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/loopback_guard.h"

#include <algorithm>

namespace mayfly {

namespace {

constexpr std::size_t kTypeAt = 12;
constexpr std::size_t kIpAt = 14;

bool is_any(std::byte byte, int first, int second) {
    return byte == std::byte(first) || byte == std::byte(second);
}

/// 127.0.0.0/8; and 0.0.0.0/8, which connect(2) treats alike.
bool is_local(std::span<const std::byte, 4> address) { return is_any(address[0], 127, 0); }

/// ::1; ::, which connect(2) treats alike; and IPv4-mapped addresses, which never occur on a wire.
bool is_local(std::span<const std::byte, 16> address) {
    const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
    if (!std::ranges::all_of(address.first<10>(), is_zero)) return false;
    const bool is_mapped = address[10] == std::byte{0xff} && address[11] == std::byte{0xff};
    return is_mapped || (is_zero(address[10]) && is_zero(address[11]));
}

}  // namespace

bool leads_to_loopback(std::span<const std::byte> head) {
    if (head.size() < kIpAt) return false;
    const int type = std::to_integer<int>(head[kTypeAt]) << 8 | std::to_integer<int>(head[kTypeAt + 1]);
    const std::span<const std::byte> ip = head.subspan(kIpAt);
    switch (type) {
        case 0x0800: return ip.size() < 20 || is_local(ip.subspan<16, 4>());
        case 0x86dd: return ip.size() < 40 || is_local(ip.subspan<24, 16>());
        default: return false;
    }
}

}  // namespace mayfly
