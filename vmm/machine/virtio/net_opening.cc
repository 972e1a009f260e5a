// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/virtio/net_opening.h"

#include "devices/virtio/net/net.h"
#include "vmm/network/passt.h"
#include "vmm/network/tap.h"
#include "vmm/network/user_network.h"

namespace mayfly {

namespace {

template <typename Peer>
Result<DeviceParts> make_net(std::unique_ptr<Peer> peer, NetBackend& backend, const NetConfig& config,
                             const PlannedDevice& place) {
    NetOptions options;
    options.name = place.name;
    options.mac = place.mac;
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
                              const PlannedDevice& place, std::string_view option) {
    if (!opened) return fail(std::move(opened).error().about(std::string(option) + config.place));
    Peer& peer = **opened;
    return make_net(std::move(*opened), peer, config, place);
}

Result<DeviceParts> open_user_network(const NetConfig& config, const PlannedDevice& place,
                                      StopControl& stop) {
    UserNetworkOptions options{
        .forwards = config.forwards, .mtu = config.mtu, .has_host_loopback = config.has_host_loopback};
    const auto on_failure = [&stop](std::string why) { stop.end({EndKind::HostError, 0, std::move(why)}); };
    std::unique_ptr<UserNetwork> network = TRY(UserNetwork::start(std::move(options), on_failure));
    Passt& passt = network->backend();
    return make_net(std::move(network), passt, config, place);
}

}  // namespace

Result<DeviceParts> open_net_device(const NetConfig& config, const PlannedDevice& place, StopControl& stop) {
    switch (config.kind) {
        case NetConfig::Kind::User: return open_user_network(config, place, stop);
        case NetConfig::Kind::Passt:
            return open_peer(Passt::connect(config.place), config, place, "--net passt=");
        case NetConfig::Kind::Tap: break;
    }
    return open_peer(Tap::open({.name = config.place, .pairs = config.pairs, .mtu = config.mtu}), config,
                     place, "--net tap=");
}

}  // namespace mayfly
