// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/passt_arguments.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mayfly {

namespace {

/// "ADDRESS/PORT:PORT", or without the address.
std::string port_spec(const PortForward& forward) {
    const char* const slash = forward.host_address.empty() ? "" : "/";
    return fmt::format("{}{}{}:{}", forward.host_address, slash, forward.host_port, forward.guest_port);
}

/// "none" may not stand beside ports, and not every version forwards nothing by default.
void add_forwards(std::vector<std::string>& words, const UserNetworkOptions& options,
                  PortForward::Protocol protocol, const char* option) {
    bool has_any = false;
    for (const PortForward& forward : options.forwards) {
        if (forward.protocol != protocol) continue;
        words.insert(words.end(), {option, port_spec(forward)});
        has_any = true;
    }
    if (!has_any) words.insert(words.end(), {option, "none"});
}

/// Printed at every start, or by the logging.
bool is_noise(std::string_view line) {
    constexpr std::array<std::string_view, 4> kNoise{"Failed to send ", "Don't run as root",
                                                     "No external routable interface",
                                                     "Couldn't get any nameserver address"};
    return line.empty() ||
           std::ranges::any_of(kNoise, [&](std::string_view noise) { return line.starts_with(noise); });
}

std::string_view remedy(std::string_view line) {
    return line == "External interface not usable" ? " (it needs a default route on this host: ip route)"
                                                   : "";
}

}  // namespace

std::vector<std::string> passt_arguments(const UserNetworkOptions& options, int fd) {
    std::vector<std::string> words{"passt", "--foreground", "--quiet", "--fd", std::to_string(fd)};
    if (!options.has_host_loopback) {
        words.emplace_back("--no-map-gw");
        // A resolver on the host's loopback would be out of reach as well.
        words.insert(words.end(), {"--dns-forward", std::string(kDnsAddress)});
    }
    if (options.mtu) words.insert(words.end(), {"--mtu", std::to_string(*options.mtu)});
    add_forwards(words, options, PortForward::Protocol::Tcp, "--tcp-ports");
    add_forwards(words, options, PortForward::Protocol::Udp, "--udp-ports");
    return words;
}

std::string passt_last_words(std::string_view text) {
    while (!text.empty()) {
        const std::size_t before = text.find_last_of('\n', text.size() - 1);
        const std::size_t begin = before == std::string_view::npos ? 0 : before + 1;
        const std::string_view line = text.substr(begin);
        if (!is_noise(line)) return fmt::format("{}{}", line, remedy(line));
        text = text.substr(0, before == std::string_view::npos ? 0 : before);
    }
    return "";
}

}  // namespace mayfly
