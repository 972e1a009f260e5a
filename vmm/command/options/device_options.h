// SPDX-License-Identifier: Apache-2.0
// The values of --disk, --net and --console: "WHAT,key,key=value".
//
// A comma that belongs to a path is written twice, as QEMU's users know it.
#pragma once

#include "vmm/machine/plan/config.h"

namespace mayfly {

/// What --help says of the options, and after the colon what hints do.
constexpr char kDiskHelp[] =
    "virtio disk; repeatable: FILE[,ro|,overlay][,direct][,format=raw][,queues=N][,id=NAME][,iops=N[:BURST]]"
    "[,bw=SIZE[:BURST]]";
constexpr char kNetHelp[] =
    "virtio network; repeatable: user[,hostfwd=tcp|udp:[ADDRESS]:PORT-:PORT][,host-loopback], "
    "tap=IFACE[,queues=N] or passt=SOCKET, then [,mac=MAC][,mtu=N][,bw=SIZE[:BURST]][,pps=N[:BURST]] and, "
    "with --exec, [,ip=ADDRESS/BITS|dhcp][,gw=ADDRESS][,dns=ADDRESS]";

/// As kDiskHelp has it. Errors: Invalid, with the key, the value and the limit.
Result<DiskConfig> parse_disk(std::string_view text);

/// Its FILE, whatever follows.
[[nodiscard]] std::string disk_path(std::string_view text);

/// As kNetHelp has it; hostfwd may be repeated. Errors: as parse_disk().
Result<NetConfig> parse_net(std::string_view text);

struct ConsoleChoice {
    std::string place = "stdio";
    ConsoleDevice device = ConsoleDevice::Auto;

    [[nodiscard]] bool names_file() const { return place != "stdio" && place != "null"; }
};

/// "WHERE[,hvc|,serial]", or the device alone: then WHERE is stdio, which "-" means as well.
Result<ConsoleChoice> parse_console(std::string_view text);

/// Whether --debugcon's WHERE, "-" being stdout, is a file and not one of the words.
[[nodiscard]] bool names_debugcon_file(std::string_view where);

}  // namespace mayfly
