// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/device_options.h"

#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

template <typename T>
void check_refused(const Result<T>& result, std::string_view word) {
    REQUIRE_FALSE(result);
    CHECK(result.error().kind() == ErrorKind::Invalid);
    INFO(result.error().message());
    CHECK(result.error().message().find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("a disk is a file and nothing more", "[device_options]") {
    const Result<DiskConfig> disk = parse_disk("/var/disk.img");
    REQUIRE(disk);
    CHECK(disk->path == "/var/disk.img");
    CHECK_FALSE(disk->is_read_only);
    CHECK_FALSE(disk->is_overlay);
    CHECK_FALSE(disk->is_direct);
    CHECK_FALSE(disk->is_surely_raw);
    CHECK(disk->queues == 1);
    CHECK(disk->id.empty());
    CHECK(disk->operations.per_second == 0);
    CHECK(disk->bytes.per_second == 0);
}

TEST_CASE("every key of a disk", "[device_options]") {
    const Result<DiskConfig> disk =
        parse_disk("d,ro,direct,queues=16,id=exactly20bytes-12345,iops=1000:50,bw=1.5M:64K");
    REQUIRE(disk);
    CHECK(disk->is_read_only);
    CHECK(disk->is_direct);
    CHECK(disk->queues == 16);
    CHECK(disk->id == "exactly20bytes-12345");
    CHECK(disk->operations.per_second == 1000);
    CHECK(disk->operations.burst == 50);
    CHECK(disk->bytes.per_second == 3 << 19);
    CHECK(disk->bytes.burst == 64 << 10);
}

TEST_CASE("a disk whose changes are dropped, and one that is raw in any case", "[device_options]") {
    const Result<DiskConfig> disk = parse_disk("d,overlay,format=raw,direct");
    REQUIRE(disk);
    CHECK(disk->is_overlay);
    CHECK(disk->is_surely_raw);
    CHECK(disk->is_direct);
    CHECK_FALSE(disk->is_read_only);
    check_refused(parse_disk("d,overlay,ro"), "leave one out");
    check_refused(parse_disk("d,ro,overlay"), "--disk d: ,ro");
    check_refused(parse_disk("d,overlay=F"), "'overlay='");
    check_refused(parse_disk("d,format"), "'format'");
    check_refused(parse_disk("d,format="), "format=: a disk is raw");
    check_refused(parse_disk("d.q,format=qcow2"), "qemu-img convert -f qcow2 -O raw d.q d.q.raw");
}

TEST_CASE("two commas are a comma of the name's own", "[device_options]") {
    CHECK(parse_disk("a,,b,ro")->path == "a,b");
    CHECK(parse_disk("a,,b,ro")->is_read_only);
    CHECK(parse_disk(",,")->path == ",");
    CHECK(parse_disk("a,,,ro")->path == "a,");
    CHECK(parse_disk("a,,,,ro")->path == "a,,ro");
    CHECK(parse_disk("x=y")->path == "x=y");
    CHECK(parse_net("passt=/tmp/a,,b")->place == "/tmp/a,b");
}

TEST_CASE("an error in a disk's value is named", "[device_options]") {
    check_refused(parse_disk(""), "without a file");
    check_refused(parse_disk(",ro"), "without a file");
    check_refused(parse_disk("d,"), "''");
    check_refused(parse_disk("d,rw"), "'rw'");
    check_refused(parse_disk("d,ro=1"), "'ro='");
    check_refused(parse_disk("d,queues"), "'queues'");
    check_refused(parse_disk("d,RO"), "'RO'");
    check_refused(parse_disk("d, ro"), "' ro'");
    check_refused(parse_disk("d,=3"), "'='");
    check_refused(parse_disk("d,queues=0"), "below 1");
    check_refused(parse_disk("d,queues=17"), "16");
    check_refused(parse_disk("d,queues="), "queues");
    check_refused(parse_disk("d,queues=-1"), "queues");
    check_refused(parse_disk("d,queues=65537"), "16");
    check_refused(parse_disk("d,id=exactly20bytes-123456"), "20 bytes");
    check_refused(parse_disk("d,iops=0"), "1 to 2^40");
    check_refused(parse_disk("d,iops=5:0"), "1 to 2^40");
    check_refused(parse_disk("d,iops=5:"), "iops");
    check_refused(parse_disk("d,iops=:5"), "iops");
    check_refused(parse_disk("d,iops=5:6:7"), "iops");
    check_refused(parse_disk("d,iops=1K"), "iops");
    check_refused(parse_disk("d,iops=1099511627777"), "iops");
    check_refused(parse_disk("d,bw=2T:1.1T"), "2^40");
    check_refused(parse_disk("d,bw=much"), "bw");
}

TEST_CASE("networks on a tap and through passt", "[device_options]") {
    const Result<NetConfig> tap =
        parse_net("tap=tap0,mac=52:54:00:ab:CD:ef,mtu=9000,queues=8,bw=1G:1M,pps=1000");
    REQUIRE(tap);
    CHECK(tap->kind == NetConfig::Kind::Tap);
    CHECK(tap->place == "tap0");
    CHECK(tap->mac == std::array<u8, 6>{0x52, 0x54, 0, 0xab, 0xcd, 0xef});
    CHECK(tap->mtu == 9000);
    CHECK(tap->pairs == 8);
    CHECK(tap->bytes.per_second == u64{1} << 30);
    CHECK(tap->bytes.burst == u64{1} << 20);
    CHECK(tap->packets.per_second == 1000);
    const Result<NetConfig> passt = parse_net("passt=/run/passt.sock");
    REQUIRE(passt);
    CHECK(passt->kind == NetConfig::Kind::Passt);
    CHECK(passt->place == "/run/passt.sock");
    CHECK_FALSE(passt->mac);
    CHECK_FALSE(passt->mtu);
    CHECK(passt->pairs == 1);
}

TEST_CASE("a network of the user's own, with ports that lead into the guest", "[device_options]") {
    const Result<NetConfig> plain = parse_net("user");
    REQUIRE(plain);
    CHECK(plain->kind == NetConfig::Kind::User);
    CHECK(plain->place.empty());
    CHECK(plain->forwards.empty());
    CHECK_FALSE(plain->has_host_loopback);
    using Protocol = PortForward::Protocol;
    const Result<NetConfig> net = parse_net(
        "user,hostfwd=tcp:127.0.0.1:8080-:80,mtu=1400,hostfwd=udp::53-:5353,host-loopback,"
        "hostfwd=tcp:[::1]:1-:65535,mac=52:54:00:12:34:56");
    REQUIRE(net);
    CHECK(net->has_host_loopback);
    CHECK(net->mtu == 1400);
    CHECK(net->mac);
    CHECK(net->forwards == std::vector<PortForward>{{Protocol::Tcp, "127.0.0.1", 8080, 80},
                                                    {Protocol::Udp, "", 53, 5353},
                                                    {Protocol::Tcp, "::1", 1, 65535}});
}

TEST_CASE("an error in a forwarded port is named", "[device_options]") {
    const auto refused = [](std::string value, const char* part) {
        check_refused(parse_net("user,hostfwd=" + value), part);
        check_refused(parse_net("user,hostfwd=" + value), "hostfwd=tcp:127.0.0.1:8080-:80");
    };
    for (const char* value : {"", "8080", "8080:80", "sctp::1-:1", ":127.0.0.1:8080-:80", "TCP::1-:1"})
        refused(value, "neither tcp nor udp");
    for (const char* value :
         {"tcp:", "tcp::", "tcp::80", "tcp::80-80", "tcp:80-:80", "tcp:[::1:80-:80", "tcp:[::1]80-:80"})
        refused(value, "PROTOCOL:[ADDRESS]:PORT-:PORT");
    for (const char* value : {"tcp:localhost:1-:1", "tcp:127.1:1-:1", "tcp:1.2.3.256:1-:1"})
        refused(value, "not an IPv4 address");
    for (const char* value : {"tcp:[]:1-:1", "tcp:[1.2.3.4]:1-:1", "tcp:[::g]:1-:1"})
        refused(value, "not an IPv6 address");
    for (const char* value : {"tcp::0-:1", "tcp::65536-:1", "tcp::-:1", "tcp::1x-:1"})
        refused(value, "1 to 65535");
    for (const char* value : {"tcp::1-:0", "udp::1-:65536", "udp::1-:", "udp::1-:-1"})
        refused(value, "1 to 65535");
    refused("tcp::80-10.0.2.15:80", "one address");
}

TEST_CASE("an error in a network's value is named", "[device_options]") {
    for (const char* none : {"", "tap", "tap0", "passt", "passt=", "bridge=br0", "mac=52:54:00:00:00:01"})
        check_refused(parse_net(none), "says no network");
    check_refused(parse_net("tap=t,passt=s"), "'passt='");
    check_refused(parse_net("tap=t,up"), "'up'");
    check_refused(parse_net("tap=t,mtu=67"), "below 68");
    check_refused(parse_net("tap=t,mtu=65536"), "65535");
    check_refused(parse_net("tap=t,queues=9"), "8");
    check_refused(parse_net("tap=t,queues=0"), "below 1");
    check_refused(parse_net("passt=s,queues=2"), "one queue pair");
    check_refused(parse_net("user,queues=2"), "one queue pair");
    check_refused(parse_net("user=x"), "says no network");
    check_refused(parse_net("tap=t,hostfwd=tcp::1-:1"), "for user");
    check_refused(parse_net("passt=s,host-loopback"), "for user");
    check_refused(parse_net("user,host-loopback=yes"), "'host-loopback='");
    check_refused(parse_net("tap=t,pps=0"), "2^40");
    for (const char* mac :
         {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:567", "52-54-00-12-34-56",
          "52:54:00:12:34:5g", "0x:54:00:12:34:56", "+2:54:00:12:34:56", " 2:54:00:12:34:56",
          "525400:123456:12", "52:54:00:12:34:56:"})
        check_refused(parse_net("tap=t,mac=" + std::string(mac)), "MAC");
    check_refused(parse_net("tap=t,mac=01:00:5e:00:00:01"), "group");
    check_refused(parse_net("tap=t,mac=ff:ff:ff:ff:ff:ff"), "group");
    check_refused(parse_net("tap=t,mac=00:00:00:00:00:00"), "all zeroes");
}

TEST_CASE("a console is a place, a device, or both", "[device_options]") {
    const auto is = [](std::string_view text, std::string_view place, ConsoleDevice device) {
        const Result<ConsoleChoice> choice = parse_console(text);
        return choice && choice->place == place && choice->device == device;
    };
    CHECK(is("stdio", "stdio", ConsoleDevice::Auto));
    CHECK(is("null", "null", ConsoleDevice::Auto));
    CHECK(is("/tmp/log", "/tmp/log", ConsoleDevice::Auto));
    CHECK(is("hvc", "stdio", ConsoleDevice::Virtio));
    CHECK(is("serial", "stdio", ConsoleDevice::Serial));
    CHECK(is("null,hvc", "null", ConsoleDevice::Virtio));
    CHECK(is("hvc,hvc", "hvc", ConsoleDevice::Virtio));
    CHECK(is("a,,b,serial", "a,b", ConsoleDevice::Serial));
    check_refused(parse_console("stdio,vga"), "stdio,vga");
    check_refused(parse_console("stdio,"), "stdio,");
    check_refused(parse_console("stdio,hvc,hvc"), "not known");
    check_refused(parse_console("null,HVC"), "not known");
}

namespace {

/// The words behind the commas in --help's text, without their values.
std::vector<std::string> keys_of(std::string_view help) {
    std::vector<std::string> keys;
    for (std::size_t at = help.find(','); at != std::string_view::npos; at = help.find(',', at + 1)) {
        const std::size_t end = help.find_first_not_of("abcdefghijklmnopqrstuvwxyz-", at + 1);
        if (end > at + 1) keys.emplace_back(help.substr(at + 1, end - at - 1));
    }
    return keys;
}

}  // namespace

TEST_CASE("--help names exactly the accepted keys of disks and networks", "[device_options]") {
    const std::map<std::string, std::string> values{{"format", "raw"},
                                                    {"queues", "2"},
                                                    {"id", "x"},
                                                    {"iops", "5"},
                                                    {"bw", "1M"},
                                                    {"mtu", "1400"},
                                                    {"pps", "5"},
                                                    {"mac", "02:00:00:00:00:01"},
                                                    {"hostfwd", "tcp::8080-:80"},
                                                    {"ip", "192.0.2.2/24"},
                                                    {"gw", "192.0.2.1,ip=192.0.2.2/24"},
                                                    {"dns", "192.0.2.1"}};
    const auto word = [&](const std::string& key) {
        const auto value = values.find(key);
        return "," + key + (value == values.end() ? "" : "=" + value->second);
    };
    const std::vector<std::string> disk = keys_of(kDiskHelp);
    CHECK(disk.size() == 8);
    for (const std::string& key : disk) {
        INFO(key);
        CHECK(parse_disk("f" + word(key)));
    }
    const std::vector<std::string> net = keys_of(kNetHelp);
    CHECK(net.size() == 10);
    for (const std::string& key : net) {
        INFO(key);
        CHECK(parse_net((key == "queues" ? "tap=t" : "user") + word(key)));
    }
    // Refusals use the same words.
    CHECK(parse_disk("f,what").error().message().find("FILE[,ro|,overlay]") != std::string::npos);
    CHECK(parse_net("user,what").error().message().find("user[,hostfwd=") != std::string::npos);
}
