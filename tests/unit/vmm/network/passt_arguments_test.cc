// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/passt_arguments.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

using Words = std::vector<std::string>;
using Protocol = PortForward::Protocol;

}  // namespace

TEST_CASE("passt arguments: nothing leads in, and nothing to the host's loopback", "[passt_arguments]") {
    CHECK(passt_arguments({}, 3) == Words{"passt", "--foreground", "--quiet", "--fd", "3", "--no-map-gw",
                                          "--dns-forward", "169.254.1.1", "--tcp-ports", "none",
                                          "--udp-ports", "none"});
}

TEST_CASE("passt arguments: the host's loopback on request, and the MTU", "[passt_arguments]") {
    CHECK(passt_arguments({.forwards = {}, .mtu = 1400, .has_host_loopback = true}, 7) ==
          Words{"passt", "--foreground", "--quiet", "--fd", "7", "--mtu", "1400", "--tcp-ports", "none",
                "--udp-ports", "none"});
}

TEST_CASE("passt arguments: ports by protocol, in order", "[passt_arguments]") {
    const UserNetworkOptions options{.forwards = {{Protocol::Tcp, "127.0.0.1", 8080, 80},
                                                  {Protocol::Udp, "", 53, 5353},
                                                  {Protocol::Tcp, "", 22, 2222},
                                                  {Protocol::Tcp, "::1", 1, 2}},
                                     .mtu = {},
                                     .has_host_loopback = true};
    CHECK(passt_arguments(options, 3) == Words{"passt", "--foreground", "--quiet", "--fd", "3", "--tcp-ports",
                                               "127.0.0.1/8080:80", "--tcp-ports", "22:2222", "--tcp-ports",
                                               "::1/1:2", "--udp-ports", "53:5353"});
}

TEST_CASE("passt's error is found among its last lines", "[passt_arguments]") {
    CHECK(passt_last_words("").empty());
    CHECK(passt_last_words("\n\n").empty());
    CHECK(passt_last_words("Failed to send 47 bytes to syslog\nDon't run as root. Changing to nobody...\n"
                           "Failed to send 46 bytes to syslog\nNo external routable interface for IPv6\n"
                           "Couldn't get any nameserver address\n")
              .empty());
    CHECK(passt_last_words("No external routable interface for IPv6\n"
                           "Failed to bind any port for '-t 80', exiting\n"
                           "Failed to send 46 bytes to syslog\n") ==
          "Failed to bind any port for '-t 80', exiting");
    CHECK(passt_last_words("one\ntwo") == "two");
    CHECK_THAT(passt_last_words("External interface not usable\n"), Catch::Contains("default route"));
}
