// SPDX-License-Identifier: Apache-2.0
// The host's side of a tap, in a network namespace that this test process has for itself.
#pragma once

#include <array>
#include <string>

#include "tests/unit/vmm/network/network_fixture.h"
#include "vmm/os/unique_fd.h"

namespace mayfly::tap_host {

/// Once: leaves the machine's network. Ends the process with 77 where that is not allowed.
void enter_own_network();

[[nodiscard]] bool exists(const std::string& name);
[[nodiscard]] bool is_up(const std::string& name);
/// As "ip link del".
[[nodiscard]] bool remove(const std::string& name);
/// As "ip tuntap add", until remove().
void create_persistent(const std::string& name, bool is_tap, bool has_many_queues);

/// As "ip addr add", "ip link set up" and a default route.
void give_address(const std::string& name, std::array<u8, 4> address, std::array<u8, 4> gateway);

/// Sees and sends frames of one interface. With `has_offload_header` each is behind the kernel's 10 bytes.
class PacketSocket {
  public:
    PacketSocket(const std::string& name, u16 ethertype, bool has_offload_header = false);
    /// The next frame, waited for; empty when none comes.
    [[nodiscard]] Bytes receive() const;
    [[nodiscard]] bool send(const Bytes& bytes) const;

  private:
    UniqueFd fd_;
};

constexpr u16 kTestEthertype = 0x88b5;  // local experimental
[[nodiscard]] Bytes ethernet(std::size_t payload_bytes, u8 first = 1);
/// IPv4 and TCP with this many bytes of data; the TCP checksum is left to an offload.
[[nodiscard]] Bytes tcp_frame(std::size_t payload_bytes);
/// struct virtio_net_hdr for it, 10 bytes: NEEDS_CSUM, GSO_TCPV4.
[[nodiscard]] Bytes segmentation_header(u16 segment_bytes);

}  // namespace mayfly::tap_host
