// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/restore.h"

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/machine/lifecycle/signals.h"

namespace mayfly {

namespace {

Error too_many(std::string_view option, std::size_t asked, std::size_t saved) {
    return Error::invalid(fmt::format("{} times {}: the snapshot's machine has {}", asked, option,
                                      saved == 0 ? "none" : fmt::format("{}", saved)));
}

/// A key of an option has another value than the guest has found.
Error known_otherwise(std::string_view option, const std::string& place, std::string_view key,
                      const std::string& saved) {
    return Error::invalid(
        fmt::format("--{} {}: {}= cannot change: the snapshot's guest knows {}", option, place, key, saved));
}

/// What a guest has learned of a disk stays; its place and its limits may be others.
Result<DiskConfig> restored_disk(const DiskConfig& saved, const DiskConfig* asked) {
    DiskConfig disk = saved;
    if (asked != nullptr) {
        if (asked->queues != DiskConfig{}.queues && asked->queues != saved.queues)
            return fail(known_otherwise("disk", asked->path, "queues", fmt::format("{}", saved.queues)));
        if (!asked->id.empty() && asked->id != saved.id)
            return fail(known_otherwise("disk", asked->path, "id", saved.id));
        if (asked->is_read_only && !saved.is_read_only)
            return fail(Error::invalid(
                fmt::format("--disk {}: the snapshot's guest may write this disk, so it cannot be "
                            "read-only now",
                            asked->path)));
        disk.path = asked->path;
        disk.is_direct = asked->is_direct;
        disk.is_surely_raw = asked->is_surely_raw;
        disk.operations = asked->operations;
        disk.bytes = asked->bytes;
    }
    disk.is_overlay = !saved.is_read_only;
    return disk;
}

Result<NetConfig> restored_net(const NetConfig& saved, const NetConfig* asked) {
    NetConfig net = saved;
    if (asked == nullptr) return net;
    if (asked->mac && asked->mac != saved.mac)
        return fail(known_otherwise("net", asked->place, "mac", "another address"));
    if (asked->mtu && asked->mtu != saved.mtu)
        return fail(
            known_otherwise("net", asked->place, "mtu", saved.mtu ? fmt::format("{}", *saved.mtu) : "none"));
    if (asked->pairs != NetConfig{}.pairs && asked->pairs != saved.pairs)
        return fail(known_otherwise("net", asked->place, "queues", fmt::format("{}", saved.pairs)));
    if (saved.pairs > 1 && asked->kind != NetConfig::Kind::Tap)
        return fail(known_otherwise("net", asked->place, "queues",
                                    fmt::format("{}, as only a tap has", saved.pairs)));
    net.kind = asked->kind;
    net.place = asked->place;
    net.bytes = asked->bytes;
    net.packets = asked->packets;
    net.forwards = asked->forwards;
    net.has_host_loopback = asked->has_host_loopback;
    return net;
}

Result<void> restore_outputs(const BootConfig& saved, const BootConfig& asked, BootConfig& config) {
    if (asked.console_device != ConsoleDevice::Auto && asked.console_device != saved.console_device)
        return fail(Error::invalid("--console: the snapshot's guest has another kind of console"));
    if (asked.debugcon != "auto") {
        if ((asked.debugcon == "off") != (saved.debugcon == "off"))
            return fail(
                Error::invalid(fmt::format("--debugcon {}: the snapshot's machine {} a debug console",
                                           asked.debugcon, saved.debugcon == "off" ? "lacks" : "has")));
        config.debugcon = asked.debugcon;
    }
    config.console = asked.console;
    config.console_max_bytes = asked.console_max_bytes;
    config.watch = asked.watch;
    config.wants_timeline = asked.wants_timeline;
    config.timeline_json = asked.timeline_json;
    config.wants_stats = asked.wants_stats;
    config.stats_json = asked.stats_json;
    return {};
}

}  // namespace

Result<BootConfig> restored_config(const BootConfig& saved, const BootConfig& asked) {
    BootConfig config = saved;
    if (asked.disks.size() > saved.disks.size())
        return fail(too_many("--disk", asked.disks.size(), saved.disks.size()));
    if (asked.nets.size() > saved.nets.size())
        return fail(too_many("--net", asked.nets.size(), saved.nets.size()));
    for (std::size_t n = 0; n < saved.disks.size(); ++n)
        config.disks[n] =
            TRY(restored_disk(saved.disks[n], n < asked.disks.size() ? &asked.disks[n] : nullptr));
    for (std::size_t n = 0; n < saved.nets.size(); ++n)
        config.nets[n] = TRY(restored_net(saved.nets[n], n < asked.nets.size() ? &asked.nets[n] : nullptr));
    TRY_VOID(restore_outputs(saved, asked, config));
    config.timeout = asked.timeout;
    config.io = asked.io;
    config.snapshot = asked.snapshot;
    if (asked.status_rules.exit_code != ExitCodeRule::Raw)
        config.status_rules.exit_code = asked.status_rules.exit_code;
    if (asked.status_rules.success) config.status_rules.success = asked.status_rules.success;
    return config;
}

Result<std::unique_ptr<Machine>> restore_machine(Snapshot snapshot, BootConfig config, OutputFds fds,
                                                 StopControl& stop, Timeline& timeline) {
    TRY_VOID(check_host(snapshot.host, this_host({})));
    TRY_VOID(check_identities(config.disks, snapshot.disks));
    report_bus_errors();
    GuestRam ram = TRY(map_memory(snapshot.memory_file, snapshot.memory, layout::kHole));
    GuestImages images = GuestImages::none(config.kernel);
    return Machine::restore({.config = std::move(config),
                             .plan = std::move(snapshot.machine.plan),
                             .images = std::move(images),
                             .ram = std::move(ram)},
                            snapshot.state, fds, stop, timeline);
}

}  // namespace mayfly
