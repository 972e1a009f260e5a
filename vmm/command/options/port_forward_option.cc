// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/port_forward_option.h"

#include <arpa/inet.h>
#include <array>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u64 kPortMax = 65'535;

Error refusal(std::string_view text, std::string_view why) {
    return Error::invalid(fmt::format("--net hostfwd={}: {}", text, why))
        .hint("hostfwd=tcp:127.0.0.1:8080-:80; without the address, on every address of this host");
}

/// Takes the text before `end`, and `end`, off the front of `rest`. Nothing when `end` is missing.
std::optional<std::string_view> take_until(std::string_view& rest, std::string_view end) {
    const std::size_t at = rest.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view taken = rest.substr(0, at);
    rest.remove_prefix(at + end.size());
    return taken;
}

std::optional<u16> port_of(std::string_view digits) {
    const Result<u64> port = parse_number(digits, kPortMax);
    if (!port || *port == 0) return std::nullopt;
    return static_cast<u16>(*port);
}

bool is_address(int family, const std::string& text) {
    std::array<std::byte, sizeof(in6_addr)> binary{};
    return ::inet_pton(family, text.c_str(), binary.data()) == 1;
}

}  // namespace

Result<PortForward> parse_port_forward(std::string_view text) {
    std::string_view rest = text;
    PortForward forward;
    const std::string_view protocol = take_until(rest, ":").value_or("");
    if (protocol != "tcp" && protocol != "udp")
        return fail(refusal(text, fmt::format("'{}' is neither tcp nor udp", protocol)));
    forward.protocol = protocol == "tcp" ? PortForward::Protocol::Tcp : PortForward::Protocol::Udp;

    const bool has_brackets = rest.starts_with('[');
    if (has_brackets) rest.remove_prefix(1);
    const std::optional<std::string_view> address = take_until(rest, has_brackets ? "]:" : ":");
    const std::optional<std::string_view> host_port = take_until(rest, "-");
    const std::optional<std::string_view> guest_address = take_until(rest, ":");
    if (!address || !host_port || !guest_address)
        return fail(refusal(text, "it is not PROTOCOL:[ADDRESS]:PORT-:PORT"));
    forward.host_address = *address;
    if ((has_brackets || !address->empty()) &&
        !is_address(has_brackets ? AF_INET6 : AF_INET, forward.host_address))
        return fail(refusal(
            text, fmt::format("'{}' is not an {} address", *address, has_brackets ? "IPv6" : "IPv4")));
    if (!guest_address->empty()) return fail(refusal(text, "the guest has one address, which is left out"));
    const std::optional<u16> host = port_of(*host_port);
    const std::optional<u16> guest = port_of(rest);
    if (!host || !guest)
        return fail(
            refusal(text, fmt::format("port '{}' is not 1 to {}", host ? rest : *host_port, kPortMax)));
    forward.host_port = *host;
    forward.guest_port = *guest;
    return forward;
}

}  // namespace mayfly
