// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/device_options.h"

#include <algorithm>
#include <array>
#include <charconv>

#include <fmt/format.h>

#include "vmm/command/options/guest_network_option.h"
#include "vmm/command/options/option_words.h"
#include "vmm/command/options/port_forward_option.h"
#include "vmm/storage/image_format.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u64 kMtuMax = 65'535;
constexpr u64 kRateMax = u64{1} << 40;

/// "N" or "N:BURST"; `parse` reads either number.
template <typename Parse>
Result<RateConfig> parse_rate(std::string_view about, std::string_view text, Parse parse) {
    const std::size_t colon = text.find(':');
    RateConfig rate;
    const auto read = [&](std::string_view digits) -> Result<u64> {
        Result<u64> value = parse(digits);
        if (!value) return fail(std::move(value).error().about(about));
        if (*value == 0 || *value > kRateMax)
            return fail(Error::invalid(fmt::format("{}={}: a limit is 1 to 2^40", about, text)));
        return value;
    };
    rate.per_second = TRY(read(text.substr(0, colon)));
    if (colon != std::string_view::npos) rate.burst = TRY(read(text.substr(colon + 1)));
    return rate;
}

Result<u64> parse_in_range(std::string_view about, std::string_view text, u64 min, u64 max) {
    Result<u64> value = parse_number(text, max);
    if (!value) return fail(std::move(value).error().about(about));
    if (*value < min) return fail(Error::invalid(fmt::format("{}={} is below {}", about, text, min)));
    return value;
}

Result<u64> parse_count(std::string_view text) { return parse_number(text, kRateMax); }

Result<std::array<u8, 6>> parse_mac(std::string_view text) {
    std::array<u8, 6> mac{};
    const auto bad = [&] {
        return fail(Error::invalid(fmt::format("--net mac={} is not a MAC address", text))
                        .hint("six bytes in hexadecimal: 52:54:00:12:34:56"));
    };
    if (text.size() != 17) return bad();
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* digits = text.data() + i * 3;
        const auto [after, status] = std::from_chars(digits, digits + 2, mac[i], 16);
        if (status != std::errc{} || after != digits + 2) return bad();
        if (i + 1 < mac.size() && digits[2] != ':') return bad();
    }
    if (mac == std::array<u8, 6>{})
        return fail(
            Error::invalid(fmt::format("--net mac={} is all zeroes, which is not a device's address", text)));
    if ((mac[0] & 1) != 0)
        return fail(Error::invalid(
            fmt::format("--net mac={} is a group address; a device needs one of its own", text)));
    return mac;
}

Result<void> read_disk_key(const KeyValue& word, DiskConfig& disk) {
    if (word.key == "ro" && !word.has_value) {
        disk.is_read_only = true;
    } else if (word.key == "overlay" && !word.has_value) {
        disk.is_overlay = true;
    } else if (word.key == "direct" && !word.has_value) {
        disk.is_direct = true;
    } else if (word.key == "format" && word.has_value) {
        if (word.value != "raw")
            return fail(Error::invalid(fmt::format("--disk format={}: a disk is raw", word.value))
                            .hint(conversion_command(word.value.empty() ? "FORMAT" : word.value, disk.path)));
        disk.is_surely_raw = true;
    } else if (word.key == "queues" && word.has_value) {
        disk.queues = static_cast<u16>(TRY(parse_in_range("--disk queues", word.value, 1, kDiskQueuesMax)));
    } else if (word.key == "iops" && word.has_value) {
        disk.operations = TRY(parse_rate("--disk iops", word.value, parse_count));
    } else if (word.key == "bw" && word.has_value) {
        disk.bytes = TRY(parse_rate("--disk bw", word.value, parse_size));
    } else if (word.key == "id" && word.has_value) {
        disk.id = word.value;
        if (disk.id.size() > kDiskIdBytesMax)
            return fail(Error::invalid(
                fmt::format("--disk id={} is longer than {} bytes", disk.id, kDiskIdBytesMax)));
    } else {
        return fail(unknown_key("--disk", word, kDiskHelp));
    }
    return {};
}

Result<void> read_net_key(const KeyValue& word, NetConfig& net) {
    if (word.key == "host-loopback" && !word.has_value) {
        net.has_host_loopback = true;
        return {};
    }
    if (!word.has_value) return fail(unknown_key("--net", word, kNetHelp));
    if (is_guest_network_key(word.key)) return read_guest_network_key(word.key, word.value, net.guest);
    if (word.key == "hostfwd") {
        net.forwards.push_back(TRY(parse_port_forward(word.value)));
    } else if (word.key == "mac") {
        net.mac = TRY(parse_mac(word.value));
    } else if (word.key == "mtu") {
        net.mtu = static_cast<u16>(TRY(parse_in_range("--net mtu", word.value, kMtuMin, kMtuMax)));
    } else if (word.key == "queues") {
        net.pairs = static_cast<u16>(TRY(parse_in_range("--net queues", word.value, 1, kNetPairsMax)));
    } else if (word.key == "bw") {
        net.bytes = TRY(parse_rate("--net bw", word.value, parse_size));
    } else if (word.key == "pps") {
        net.packets = TRY(parse_rate("--net pps", word.value, parse_count));
    } else {
        return fail(unknown_key("--net", word, kNetHelp));
    }
    return {};
}

}  // namespace

std::string disk_path(std::string_view text) { return split_words(text)[0]; }

Result<DiskConfig> parse_disk(std::string_view text) {
    const std::vector<std::string> words = split_words(text);
    DiskConfig disk;
    disk.path = words[0];
    if (disk.path.empty()) return fail(Error::invalid("--disk without a file name").hint("--disk FILE[,ro]"));
    for (std::size_t i = 1; i < words.size(); ++i) TRY_VOID(read_disk_key(split_key(words[i]), disk));
    if (disk.is_read_only && disk.is_overlay)
        return fail(Error::invalid(fmt::format("--disk {}: ,ro lets the guest write nothing, and ,overlay "
                                               "keeps what it writes",
                                               disk.path))
                        .hint("leave one out: neither changes the file"));
    return disk;
}

Result<NetConfig> parse_net(std::string_view text) {
    const std::vector<std::string> words = split_words(text);
    const KeyValue first = split_key(words[0]);
    NetConfig net;
    if (first.key == "tap" && first.has_value) {
        net.kind = NetConfig::Kind::Tap;
    } else if (first.key == "passt" && !first.value.empty()) {
        net.kind = NetConfig::Kind::Passt;
    } else if (first.key == "user" && !first.has_value) {
        net.kind = NetConfig::Kind::User;
    } else {
        return fail(Error::invalid(fmt::format("--net '{}' says no network", text))
                        .hint("--net tap=IFACE; or --net user or passt=SOCKET, which need no rights"));
    }
    net.place = first.value;
    for (std::size_t i = 1; i < words.size(); ++i) TRY_VOID(read_net_key(split_key(words[i]), net));
    if (net.kind != NetConfig::Kind::Tap && net.pairs > 1)
        return fail(
            Error::invalid(fmt::format("--net {} has one queue pair; queues= is for tap", first.key)));
    if (net.kind != NetConfig::Kind::User && (!net.forwards.empty() || net.has_host_loopback))
        return fail(Error::invalid(fmt::format("--net {}: hostfwd= and host-loopback are for user", text)));
    TRY_VOID(check_guest_network(net.guest));
    return net;
}

Result<ConsoleChoice> parse_console(std::string_view text) {
    std::vector<std::string> words = split_words(text);
    ConsoleChoice choice;
    const auto device_of = [](std::string_view word) -> std::optional<ConsoleDevice> {
        if (word == "hvc") return ConsoleDevice::Virtio;
        if (word == "serial") return ConsoleDevice::Serial;
        return std::nullopt;
    };
    if (const auto alone = device_of(words[0]); alone && words.size() == 1) {
        choice.device = *alone;
        return choice;
    }
    choice.place = words[0] == "-" ? "stdio" : words[0];
    if (choice.place.empty())
        return fail(Error::invalid(fmt::format("--console '{}' names no place", text))
                        .hint("WHERE[,hvc] or WHERE[,serial]; WHERE is stdio, null or a file"));
    if (words.size() == 1) return choice;
    const auto device = device_of(words[1]);
    if (!device || words.size() > 2)
        return fail(Error::invalid(fmt::format("--console '{}' is not known", text))
                        .hint("WHERE[,hvc] or WHERE[,serial]; WHERE is stdio, null or a file"));
    choice.device = *device;
    return choice;
}

bool names_debugcon_file(std::string_view where) {
    constexpr std::array<std::string_view, 5> kWords{"auto", "stdout", "stderr", "off", "-"};
    return std::ranges::find(kWords, where) == kWords.end();
}

}  // namespace mayfly
