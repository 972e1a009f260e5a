// SPDX-License-Identifier: Apache-2.0
#include "firmware/init/network.h"

#include <initializer_list>

#include <linux/errno.h>

#include "firmware/init/dhcp_exchange.h"
#include "firmware/init/links.h"
#include "firmware/init/name_files.h"
#include "firmware/init/network_job.h"
#include "firmware/init/text.h"

namespace mayfly::init {

namespace {

constexpr u32 kWordMax = 128;
constexpr u32 kMacDigits = 12;

u8 digit_of(char c) { return static_cast<u8>(c <= '9' ? c - '0' : c - 'a' + 10); }

bool is_digit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

/// Bytes of two hexadecimal digits each, as many as there are and fit. \returns how many.
u8 read_hex(const char* text, u8* bytes, u8 bytes_max) {
    u8 count = 0;
    for (; count < bytes_max && is_digit(text[0]) && is_digit(text[1]); text += 2)
        bytes[count++] = static_cast<u8>(digit_of(text[0]) << 4 | digit_of(text[1]));
    return count;
}

IpAddress read_ip(const char* hex) {
    IpAddress ip{};
    ip.size_bytes = read_hex(hex, ip.bytes, sizeof(ip.bytes));
    return ip;
}

/// The text after `key` in `word`; null where `word` does not begin with `key`.
const char* behind(const char* word, const char* key) {
    for (; *key != 0; ++key, ++word)
        if (*word != *key) return nullptr;
    return word;
}

const char* behind_character(const char* text, char character) {
    while (*text != 0 && *text != character) ++text;
    return *text == 0 ? text : text + 1;
}

/// A record's words, one after the other, each with a NUL.
class Words {
  public:
    explicit Words(const char* record) : rest_(behind_character(record, ' ')) {}

    /// Null at the end.
    const char* next() {
        if (*rest_ == 0) return nullptr;
        u32 used = 0;
        for (; *rest_ != 0 && *rest_ != ' '; ++rest_)
            if (used + 1 < kWordMax) word_[used++] = *rest_;
        word_[used] = 0;
        if (*rest_ == ' ') ++rest_;
        return word_;
    }

  private:
    const char* rest_;
    char word_[kWordMax];
};

/// "02:00:5e:10:00:01" of a record's first digits.
struct MacText {
    explicit MacText(const char* record) {
        u32 used = 0;
        for (u32 i = 0; i < kMacDigits; ++i) {
            if (i != 0 && i % 2 == 0) text[used++] = ':';
            text[used++] = record[i];
        }
        text[used] = 0;
    }
    char text[kMacDigits + 6];
};

/// All networks at once, because routes and names belong to the guest and not to an interface.
class Networks {
  public:
    /// A kernel without sockets lacks interfaces too, which is reported then.
    explicit Networks(const char* host_name) : host_name_(host_name) { links_.open(); }

    /// Explicit addresses and gateways.
    long configure(const char* record);
    /// Once all explicit settings are made: a gateway from DHCP is for networks without one.
    void ask(const char* record);
    void write_names(NamePlace place) const;

  private:
    long add_address(const Link& link, const char* value);
    long add_gateway(const Link& link, const char* value);
    void adopt(const Link& link, const DhcpAnswer& lease);
    void add_name_server(const char* text);

    const char* host_name_;
    Links links_;
    bool has_ipv4_route_ = false;
    bool has_chosen_servers_ = false;  ///< dns= takes precedence over DHCP
    Lines servers_;
    u32 server_count_ = 0;
    Lines hosts_;
};

/// Of the interface called `name`, for IPv6; silent where the kernel lacks IPv6.
void set_ipv6(const char* name, const char* setting, const char* value) {
    char path[96];
    u32 used = 0;
    for (const char* part : {"/proc/sys/net/ipv6/conf/", name, "/", setting})
        for (; *part != 0 && used + 1 < sizeof(path); ++part) path[used++] = *part;
    path[used] = 0;
    write_setting(path, value);
}

/// Before the link is up, because IPv6 begins then.
void prepare_ipv6(const char* name, const char* record) {
    bool is_near = false;
    bool has_address = false;
    Words words(record);
    while (const char* word = words.next()) {
        if (is_same(word, network_job::kNear)) is_near = true;
        const char* const value = behind(word, network_job::kAddress);
        if (value != nullptr && read_ip(value).size_bytes > 4) has_address = true;
    }
    if (is_near) set_ipv6(name, "accept_dad", "0");
    // With explicit addresses, router advertisements must not add addresses and routes.
    if (has_address && !is_near) set_ipv6(name, "accept_ra", "0");
}

void Networks::add_name_server(const char* text) {
    if (server_count_ == kDhcpNameServersMax) return;
    servers_.add("nameserver ", text);
    ++server_count_;
}

long Networks::add_address(const Link& link, const char* value) {
    const IpAddress ip = read_ip(value);
    const char* const text = behind_character(value, '=');
    const auto bits = static_cast<u8>(decimal(behind_character(value, '/')));
    const long result = links_.add_address(link.index, ip, bits);
    if (result != 0) {
        const bool lacks_family = result == -EOPNOTSUPP && ip.size_bytes > 4;
        say("cannot give ", link.name, " the address ", text, ": ",
            lacks_family ? "the kernel has no IPv6" : error_name(-result));
        return result;
    }
    hosts_.add(text, "\t", host_name_);
    return 0;
}

long Networks::add_gateway(const Link& link, const char* value) {
    const IpAddress ip = read_ip(value);
    const long result = links_.add_default_route(link.index, ip);
    if (result != 0) say("cannot make a default route through ", link.name, ": ", error_name(-result));
    if (ip.size_bytes == 4) has_ipv4_route_ = true;
    return result;
}

Mac mac_of(const char* record) {
    Mac mac{};
    read_hex(record, mac.bytes, sizeof(mac.bytes));
    return mac;
}

long Networks::configure(const char* record) {
    const Link link = links_.find(mac_of(record));
    if (link.index == 0) {
        say("cannot configure the network: no interface has the address ", MacText(record).text,
            ": does the kernel have the driver virtio_net? It comes with mayfly's --modules");
    } else {
        prepare_ipv6(link.name, record);
        const long result = links_.bring_up(link.index);
        if (result != 0) say("cannot bring ", link.name, " up: ", error_name(-result));
    }
    Words words(record);
    while (const char* word = words.next()) {
        long result = 0;
        if (const char* server = behind(word, network_job::kNameServer)) {
            add_name_server(server);
            has_chosen_servers_ = true;
        }
        const char* const address = behind(word, network_job::kAddress);
        const char* const gateway = behind(word, network_job::kGateway);
        if ((address != nullptr || gateway != nullptr) && link.index == 0) return -ENODEV;
        if (address != nullptr) result = add_address(link, address);
        if (gateway != nullptr) result = add_gateway(link, gateway);
        if (result != 0) return result;
    }
    return 0;
}

void Networks::ask(const char* record) {
    const Link link = links_.find(mac_of(record));
    if (link.index == 0) return;
    Words words(record);
    bool has_lease = false;
    const u32 servers_before = server_count_;
    while (const char* word = words.next()) {
        if (const char* seconds = behind(word, network_job::kDhcp)) {
            DhcpAnswer lease{};
            const long result = ask_for_address(link.index, mac_of(record), decimal(seconds), lease);
            has_lease = result == 0;
            if (has_lease) adopt(link, lease);
            if (result == -ETIMEDOUT)
                say("no DHCP server has answered on ", link.name, ": it has no IPv4 address");
            else if (result == -EAFNOSUPPORT)
                say("cannot ask for an address on ", link.name,
                    ": the kernel has no packet sockets (af_packet, mayfly's --modules); or give it one: "
                    "ip=");
            else if (result != 0)
                say("cannot ask for an address on ", link.name, ": ", error_name(-result));
        }
        const char* const spare = behind(word, network_job::kSpareNameServer);
        if (spare != nullptr && has_lease && !has_chosen_servers_ && server_count_ == servers_before)
            add_name_server(spare);
    }
}

void Networks::adopt(const Link& link, const DhcpAnswer& lease) {
    const auto ip_of = [](Ipv4 address) {
        return IpAddress{{address.bytes[0], address.bytes[1], address.bytes[2], address.bytes[3]}, 4};
    };
    char text[kIpv4TextBytes];
    write_text(lease.address, text);
    // Refused by the driver, or unchanged: neither matters to the program.
    if (lease.mtu != 0) static_cast<void>(links_.set_mtu(link.index, lease.mtu));
    long result = links_.add_address(link.index, ip_of(lease.address), lease.prefix_bits);
    if (result != 0) return say("cannot give ", link.name, " an address from DHCP: ", error_name(-result));
    hosts_.add(text, "\t", host_name_);
    if (lease.has_router && !has_ipv4_route_) {
        has_ipv4_route_ = true;
        result = links_.add_default_route(link.index, ip_of(lease.router));
        if (result != 0) say("cannot make a default route through ", link.name, ": ", error_name(-result));
    }
    for (u32 i = 0; i < lease.name_servers && !has_chosen_servers_; ++i) {
        write_text(lease.name_server[i], text);
        add_name_server(text);
    }
}

void Networks::write_names(NamePlace place) const {
    if (servers_.size_bytes() != 0) write_resolv_conf(servers_, place);
    if (hosts_.size_bytes() != 0) add_to_hosts(hosts_, place);
}

}  // namespace

long set_up_networks(const Job& job) {
    if (job.networks == nullptr) return 0;
    Networks networks(job.host_name);
    for (const char* const* next = job.networks; *next != nullptr; ++next) {
        if (const long problem = networks.configure(*next); problem != 0) return problem;
    }
    for (const char* const* next = job.networks; *next != nullptr; ++next) networks.ask(*next);
    networks.write_names(job.root == JobRoot::Shared ? NamePlace::Beside : NamePlace::Root);
    return 0;
}

}  // namespace mayfly::init
