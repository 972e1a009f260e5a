// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/net_opening.h"

#include <sys/random.h>

#include "devices/virtio/net.h"
#include "vmm/network/passt.h"
#include "vmm/network/tap.h"
#include "vmm/network/user_network.h"

namespace mayfly {

namespace {

RateLimit limit_of(const RateConfig& config) {
    return {.per_second = config.per_second, .burst = config.burst};
}

/// Locally administered, and so for nobody else; random, because two machines may share a bridge.
Result<std::array<u8, 6>> make_mac() {
    std::array<u8, 6> mac{};
    if (::getrandom(mac.data(), mac.size(), 0) != static_cast<ssize_t>(mac.size()))
        return fail(Error::os("getrandom"));
    mac[0] = static_cast<u8>((mac[0] & ~1) | 2);
    return mac;
}

/// All but what keeps the backend and attaches it.
Result<DeviceParts> make_net(NetBackend& backend, const NetConfig& config, const std::string& name) {
    NetOptions options;
    options.name = name;
    options.mac = config.mac ? *config.mac : TRY(make_mac());
    options.mtu = config.mtu;
    options.bytes = limit_of(config.bytes);
    options.packets = limit_of(config.packets);
    DeviceParts parts;
    parts.model = std::make_unique<Net>(options, backend);
    parts.has_rate_limit = config.bytes.per_second != 0 || config.packets.per_second != 0;
    return parts;
}

template <typename Backend>
Result<DeviceParts> open_backend(Result<std::unique_ptr<Backend>> opened, const NetConfig& config,
                                 const std::string& name, std::string_view option) {
    if (!opened) return fail(std::move(opened).error().about(std::string(option) + config.place));
    std::shared_ptr<Backend> backend = std::move(*opened);
    DeviceParts parts = TRY(make_net(*backend, config, name));
    parts.attach = [backend](Loop& loop) { return backend->attach(loop); };
    parts.backend = std::move(backend);
    return parts;
}

Result<DeviceParts> open_user_network(const NetConfig& config, const std::string& name, StopControl& stop) {
    UserNetworkOptions options{
        .forwards = config.forwards, .mtu = config.mtu, .has_host_loopback = config.has_host_loopback};
    const auto on_failure = [&stop](std::string why) { stop.end({EndKind::HostError, 0, std::move(why)}); };
    std::shared_ptr<UserNetwork> network = TRY(UserNetwork::start(std::move(options), on_failure));
    DeviceParts parts = TRY(make_net(network->backend(), config, name));
    parts.attach = [network](Loop& loop) { return network->attach(loop); };
    parts.finish = [network] { network->finish(); };
    parts.backend = std::move(network);
    return parts;
}

}  // namespace

Result<DeviceParts> open_net_device(const NetConfig& config, const std::string& name, StopControl& stop) {
    switch (config.kind) {
        case NetConfig::Kind::User: return open_user_network(config, name, stop);
        case NetConfig::Kind::Passt:
            return open_backend(Passt::connect(config.place), config, name, "--net passt=");
        case NetConfig::Kind::Tap: break;
    }
    return open_backend(Tap::open({.name = config.place, .pairs = config.pairs, .mtu = config.mtu}), config,
                        name, "--net tap=");
}

}  // namespace mayfly
