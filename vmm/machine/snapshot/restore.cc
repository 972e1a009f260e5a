// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/restore.h"

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/machine/lifecycle/signals.h"
#include "vmm/watch/plain_text.h"

namespace mayfly {

namespace {

/// A stranger's snapshot may name any file or interface of this host: only the user opens one.
Result<void> check_count(std::string_view option, std::size_t asked, const std::vector<std::string>& saved) {
    if (asked == saved.size()) return {};
    std::string names;
    for (const std::string& name : saved) names += (names.empty() ? "" : ", ") + visible(name);
    const std::string has = saved.empty() ? "none" : fmt::format("{} ({})", saved.size(), names);
    return fail(Error::invalid(fmt::format("{} was given {} times, and the snapshot's machine has {}", option,
                                           asked, has))
                    .hint("give each, in its place"));
}

/// A key of an option has another value than the guest has found.
Error known_otherwise(std::string_view option, const std::string& place, std::string_view key,
                      const std::string& saved) {
    return Error::invalid(
        fmt::format("--{} {}: {}= cannot change: the snapshot's guest knows {}", option, place, key, saved));
}

/// What a guest has learned of a disk stays; its place and its limits may be others.
Result<DiskConfig> restored_disk(const DiskConfig& saved, const DiskConfig& asked) {
    if (asked.queues != DiskConfig{}.queues && asked.queues != saved.queues)
        return fail(known_otherwise("disk", asked.path, "queues", fmt::format("{}", saved.queues)));
    if (!asked.id.empty() && asked.id != saved.id)
        return fail(known_otherwise("disk", asked.path, "id", visible(saved.id)));
    if (asked.is_read_only && !saved.is_read_only)
        return fail(Error::invalid(
            fmt::format("--disk {}: the snapshot's guest may write this disk, so it cannot be read-only now",
                        asked.path)));
    DiskConfig disk = asked;
    disk.is_read_only = saved.is_read_only;
    disk.queues = saved.queues;
    disk.id = saved.id;
    disk.is_overlay = !saved.is_read_only;
    return disk;
}

Result<NetConfig> restored_net(const NetConfig& saved, const NetConfig& asked) {
    if (asked.mac && asked.mac != saved.mac)
        return fail(known_otherwise("net", asked.place, "mac", "another address"));
    if (asked.mtu && asked.mtu != saved.mtu)
        return fail(
            known_otherwise("net", asked.place, "mtu", saved.mtu ? fmt::format("{}", *saved.mtu) : "none"));
    if (asked.pairs != NetConfig{}.pairs && asked.pairs != saved.pairs)
        return fail(known_otherwise("net", asked.place, "queues", fmt::format("{}", saved.pairs)));
    if (saved.pairs > 1 && asked.kind != NetConfig::Kind::Tap)
        return fail(
            known_otherwise("net", asked.place, "queues", fmt::format("{}, as only a tap has", saved.pairs)));
    NetConfig net = asked;
    net.mac = saved.mac;
    net.mtu = saved.mtu;
    net.pairs = saved.pairs;
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
    }
    if (saved.debugcon != "off") config.debugcon = asked.debugcon;
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

Result<Snapshot> load_for_here(const std::string& directory) {
    Snapshot snapshot = TRY(load_snapshot(directory));
    Result<void> fits = check_host(snapshot.host, this_host(snapshot.machine.plan.host.flavour, {}));
    if (!fits) return fail(std::move(fits).error().about(directory));
    return snapshot;
}

Result<BootConfig> restored_config(const BootConfig& saved, const BootConfig& asked) {
    BootConfig config = saved;
    std::vector<std::string> disks;
    for (const DiskConfig& disk : saved.disks) disks.push_back(disk.path);
    TRY_VOID(check_count("--disk", asked.disks.size(), disks));
    std::vector<std::string> nets;
    for (const NetConfig& net : saved.nets) nets.push_back(net.place.empty() ? "user" : net.place);
    TRY_VOID(check_count("--net", asked.nets.size(), nets));
    for (std::size_t n = 0; n < saved.disks.size(); ++n)
        config.disks[n] = TRY(restored_disk(saved.disks[n], asked.disks[n]));
    for (std::size_t n = 0; n < saved.nets.size(); ++n)
        config.nets[n] = TRY(restored_net(saved.nets[n], asked.nets[n]));
    TRY_VOID(restore_outputs(saved, asked, config));
    config.timeout = asked.timeout;
    config.io = asked.io;
    config.snapshot = asked.snapshot;
    if (asked.status_rules.exit_code != ExitCodeRule::Raw)
        config.status_rules.exit_code = asked.status_rules.exit_code;
    if (asked.status_rules.success) config.status_rules.success = asked.status_rules.success;
    return config;
}

Result<std::unique_ptr<Machine>> restore_machine(std::unique_ptr<Snapshot> snapshot, const BootConfig& config,
                                                 OutputFds fds, StopControl& stop, Timeline& timeline) {
    TRY_VOID(check_identities(config.disks, snapshot->disks));
    report_bus_errors();
    GuestRam ram = TRY(map_memory(snapshot->memory_file, snapshot->memory, layout::kHole));
    GuestImages images = GuestImages::none(config.kernel);
    return Machine::restore({.config = config,
                             .plan = std::move(snapshot->machine.plan),
                             .images = std::move(images),
                             .ram = std::move(ram)},
                            snapshot->state, fds, stop, timeline);
}

}  // namespace mayfly
