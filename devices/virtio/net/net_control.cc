// SPDX-License-Identifier: Apache-2.0
// The control queue of Net. virtio 1.2 §5.1.6.5 "Control Virtqueue".
#include "devices/virtio/net/net.h"

namespace mayfly {

namespace {

/// The data of a command; empty unless it has exactly this size.
template <WireType T>
std::optional<T> read_data(const Chain& chain) {
    if (chain.readable_bytes != virtio_net::CTRL_DATA + sizeof(T)) return std::nullopt;
    return read_from_parts<T>(chain.readable, virtio_net::CTRL_DATA);
}

}  // namespace

Progress Net::control(u32 budget) {
    VirtQueue& ring = queue(control_queue());
    for (u32 done = 0; done < budget; ++done) {
        const auto [popped, chain] = ring.pop({parts_.get(), kSendPartsMax});
        if (popped != PopResult::Chain) return end_of(ring, popped);
        // A command can cost the host milliseconds, some of them under a lock of all its networks.
        if (const auto deadline_ns = commands_limit_.take(1, options_.now_ns())) {
            ring.unpop(chain.token);
            host()->run_at(control_queue(), *deadline_ns);
            return Progress::Waiting;
        }
        if (chain.writable_bytes == 0) {
            return fail("a control command has no room for its answer");
        }
        const u8 answer = obey(chain) ? virtio_net::CTRL_OK : virtio_net::CTRL_ERR;
        static_cast<void>(copy_to_parts(chain.writable, 0, std::as_bytes(std::span(&answer, 1))));
        ring.push(chain.token, sizeof(answer));
    }
    return Progress::More;
}

bool Net::obey(const Chain& chain) {
    const std::optional<u8> command_class = read_from_parts<u8>(chain.readable, virtio_net::CTRL_CLASS);
    const std::optional<u8> command = read_from_parts<u8>(chain.readable, virtio_net::CTRL_COMMAND);
    if (!command_class || !command) return false;
    if (*command_class == virtio_net::CTRL_MQ && *command == virtio_net::CTRL_MQ_VQ_PAIRS_SET)
        return has(virtio_net::F_MQ) && set_pairs(chain);
    if (*command_class == virtio_net::CTRL_GUEST_OFFLOADS && *command == virtio_net::CTRL_GUEST_OFFLOADS_SET)
        return has(virtio_net::F_CTRL_GUEST_OFFLOADS) && set_guest_offloads(chain);
    if (*command_class == virtio_net::CTRL_MAC && *command == virtio_net::CTRL_MAC_ADDR_SET)
        return has(virtio_net::F_CTRL_MAC_ADDR) && set_mac(chain);
    return false;
}

bool Net::set_pairs(const Chain& chain) {
    const std::optional<u16> pairs = read_data<u16>(chain);
    if (!pairs || *pairs < 1 || *pairs > pairs_) return false;
    Active wanted = active_;
    wanted.pairs_in_use = *pairs;
    if (!configure(wanted)) return false;
    // Chains that arrived while these queues were not in use were left alone.
    for (u16 pair = 0; pair < *pairs; ++pair) {
        run_again(static_cast<u16>(2 * pair));
        run_again(static_cast<u16>(2 * pair + 1));
    }
    return true;
}

bool Net::set_guest_offloads(const Chain& chain) {
    const std::optional<u64> offloads = read_data<u64>(chain);
    if (!offloads) return false;
    // virtio 1.2 §5.1.6.5.8.2 "Driver Requirements: Setting Offloads State": only what was negotiated.
    if ((*offloads & ~(active_.features & virtio_net::kGuestOffloads)) != 0) return false;
    Active wanted = active_;
    wanted.guest_offloads = *offloads;
    return configure(wanted);
}

bool Net::set_mac(const Chain& chain) {
    const std::optional<std::array<std::byte, virtio_net::kMacBytes>> mac =
        read_data<std::array<std::byte, virtio_net::kMacBytes>>(chain);
    if (!mac) return false;
    // virtio 1.2 §5.1.6.5.2.2 "Device Requirements: Setting MAC Address Filtering": mac changes before the
    // answer.
    show_mac(*mac);
    host()->config_changed();
    return true;
}

}  // namespace mayfly
