// SPDX-License-Identifier: Apache-2.0
// IpAddress: an IPv4 or IPv6 address, as text and as on the wire. Thread: any.
// Spec: RFC 4291 §2 "IPv6 Addressing"; RFC 5952 §4 "A Recommendation for IPv6 Text Representation".
#pragma once

#include <array>
#include <optional>
#include <string>

#include "vmm/error/ints.h"

namespace mayfly {

struct IpAddress {
    bool is_ipv6 = false;
    std::array<u8, 16> bytes{};  ///< the most significant first; of IPv4 the first four

    [[nodiscard]] std::size_t size_bytes() const { return is_ipv6 ? 16 : 4; }
    [[nodiscard]] u8 bits_max() const { return is_ipv6 ? 128 : 32; }
    /// fe80::/10: valid on one link only.
    [[nodiscard]] bool is_link_local() const;
    /// Whether both are in one network of `prefix_bits` bits.
    [[nodiscard]] bool shares_prefix(const IpAddress& other, unsigned prefix_bits) const;

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

/// Parses a text that is an address and nothing more.
[[nodiscard]] std::optional<IpAddress> parse_ip_address(const std::string& text);
[[nodiscard]] std::string print(const IpAddress& address);

/// Why no interface can have that address, as "is a group's address"; null where one can.
[[nodiscard]] const char* why_unfit_for_interface(const IpAddress& address);

}  // namespace mayfly
