// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/net_opening.h"

#include <sys/random.h>

#include "devices/virtio/net/net.h"
#include "vmm/network/passt.h"
#include "vmm/network/tap.h"
#include "vmm/network/user_network.h"

namespace mayfly {

namespace {

/// Locally administered, and so for nobody else; random, because two machines may share a bridge.
Result<std::array<u8, 6>> make_mac() {
    std::array<u8, 6> mac{};
    if (::getrandom(mac.data(), mac.size(), 0) != static_cast<ssize_t>(mac.size()))
        return fail(Error::os("getrandom"));
    mac[0] = static_cast<u8>((mac[0] & ~1) | 2);
    return mac;
}

template <typename Peer>
Result<DeviceParts> make_net(std::unique_ptr<Peer> peer, NetBackend& backend, const NetConfig& config,
                             const std::string& name) {
    NetOptions options;
    options.name = name;
    options.mac = config.mac ? *config.mac : TRY(make_mac());
    options.mtu = config.mtu;
    options.bytes = limit_of(config.bytes);
    options.packets = limit_of(config.packets);
    DeviceParts parts;
    parts.model = std::make_unique<Net>(options, backend);
    parts.has_rate_limit = config.bytes.per_second != 0 || config.packets.per_second != 0;
    parts.backend = std::move(peer);
    return parts;
}

template <typename Peer>
Result<DeviceParts> open_peer(Result<std::unique_ptr<Peer>> opened, const NetConfig& config,
                              const std::string& name, std::string_view option) {
    if (!opened) return fail(std::move(opened).error().about(std::string(option) + config.place));
    Peer& peer = **opened;
    return make_net(std::move(*opened), peer, config, name);
}

Result<DeviceParts> open_user_network(const NetConfig& config, const std::string& name, StopControl& stop) {
    UserNetworkOptions options{
        .forwards = config.forwards, .mtu = config.mtu, .has_host_loopback = config.has_host_loopback};
    const auto on_failure = [&stop](std::string why) { stop.end({EndKind::HostError, 0, std::move(why)}); };
    std::unique_ptr<UserNetwork> network = TRY(UserNetwork::start(std::move(options), on_failure));
    Passt& passt = network->backend();
    return make_net(std::move(network), passt, config, name);
}

}  // namespace

Result<DeviceParts> open_net_device(const NetConfig& config, const std::string& name, StopControl& stop) {
    switch (config.kind) {
        case NetConfig::Kind::User: return open_user_network(config, name, stop);
        case NetConfig::Kind::Passt:
            return open_peer(Passt::connect(config.place), config, name, "--net passt=");
        case NetConfig::Kind::Tap: break;
    }
    return open_peer(Tap::open({.name = config.place, .pairs = config.pairs, .mtu = config.mtu}), config,
                     name, "--net tap=");
}

}  // namespace mayfly
