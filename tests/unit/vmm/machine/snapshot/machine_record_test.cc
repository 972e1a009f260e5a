// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/machine_record.h"

#include <functional>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

#include "firmware/layout.h"
#include "vmm/snapshot/format/section_codec.h"

namespace mayfly {

namespace {

using Bytes = std::vector<std::byte>;

void plan(MachineRecord& record) {
    Result<MachineShape> shape = choose_shape(record.config, record.plan.kernel.protocol);
    REQUIRE(shape.has_value());
    record.plan.shape = *shape;
    Result<DevicePlan> devices = plan_devices(record.config, record.plan.shape, record.plan.console);
    REQUIRE(devices.has_value());
    record.plan.devices = *devices;
    REQUIRE(choose_macs(record.config, record.plan.devices).has_value());
}

/// Linux with everything that a record knows.
MachineRecord full_record() {
    MachineRecord record;
    BootConfig& config = record.config;
    config.kernel = "vmlinuz";
    config.memory_bytes = MiB(256);
    config.profile = ProfileChoice::Legacy;
    config.cpus = 3;
    config.has_rng = true;
    config.disks.resize(2);
    config.disks[0].path = "/images/a";
    config.disks[0].is_read_only = true;
    config.disks[1].path = "/images/b";
    config.disks[1].queues = 4;
    config.disks[1].id = "serial";
    config.nets.resize(1);
    config.nets[0].kind = NetConfig::Kind::User;
    config.nets[0].mtu = 1400;
    config.nets[0].forwards = {{.protocol = PortForward::Protocol::Udp,
                                .host_address = "127.0.0.1",
                                .host_port = 80,
                                .guest_port = 8080}};
    config.debugcon = "off";
    config.exit_ports = {0xf4, 0x501};
    config.status_rules = {.exit_code = ExitCodeRule::Qemu, .success = 3};
    ExecConfig& exec = config.exec.emplace();
    exec.program = "/bin/true";
    exec.terminal = ExecConfig::Terminal{.rows = 24, .columns = 80};
    exec.grace = std::chrono::milliseconds(1500);
    record.plan.cpus = 3;
    record.plan.kernel.protocol = Protocol::Linux;
    record.plan.kernel.is_linux = true;
    record.plan.pit.reinjects = false;
    record.plan.console = ConsoleDevice::Virtio;
    record.plan.early_output = EarlyOutput::Log;
    record.plan.log.emplace();
    record.plan.log->text = Gpa{0x1234'5000};
    record.plan.log->count_bits = 12;
    record.plan.command_line = {.text = "quiet root=/dev/vda", .lacks_defaults = false, .marks_panics = true};
    plan(record);
    return record;
}

Result<MachineRecord> decoded(const Section& section) {
    const SectionView view{.tag = section.tag,
                           .version = section.version,
                           .is_critical = section.is_critical,
                           .payload = section.payload};
    return decode_machine_record(std::span(&view, 1));
}

std::string refusal_of(const Section& section) {
    const Result<MachineRecord> record = decoded(section);
    REQUIRE_FALSE(record.has_value());
    return record.error().message();
}

}  // namespace

TEST_CASE("a machine's hardware comes back from its record", "[snapshot]") {
    const MachineRecord record = full_record();
    const Section section = encode(record);
    const Result<MachineRecord> again = decoded(section);
    REQUIRE(again.has_value());
    CHECK(encode(*again).payload == section.payload);
    CHECK(again->config.memory_bytes == MiB(256));
    CHECK(again->config.disks[0].is_read_only);
    CHECK(again->config.disks[1].id == "serial");
    CHECK(again->config.nets[0].mtu == 1400);
    CHECK(again->config.nets[0].forwards.empty());
    CHECK(again->config.debugcon == "off");
    CHECK(again->config.disks[1].path == "/images/b");
    CHECK(again->config.nets[0].mac == record.plan.devices.devices[2].mac);
    CHECK(again->config.exec->program == "/bin/true");
    CHECK(again->config.exec->terminal->columns == 80);
    CHECK(again->config.exec->grace.count() == 1500);
    CHECK(again->config.status_rules.success == 3);
    CHECK(again->plan.cpus == 3);
    CHECK(again->plan.shape.profile == Profile::Legacy);
    CHECK_FALSE(again->plan.pit.reinjects);
    CHECK(again->plan.log->text == Gpa{0x1234'5000});
    CHECK(again->plan.command_line.text == "quiet root=/dev/vda");
    REQUIRE(again->plan.devices.devices.size() == record.plan.devices.devices.size());
    for (std::size_t n = 0; n < record.plan.devices.devices.size(); ++n) {
        CHECK(again->plan.devices.devices[n].name == record.plan.devices.devices[n].name);
        CHECK(again->plan.devices.devices[n].pci.config_address ==
              record.plan.devices.devices[n].pci.config_address);
    }
}

TEST_CASE("a record that is cut anywhere is refused", "[snapshot]") {
    const Section section = encode(full_record());
    for (std::size_t size = 0; size < section.payload.size(); ++size) {
        Section cut = section;
        cut.payload.resize(size);
        REQUIRE_FALSE(decoded(cut).has_value());
    }
}

TEST_CASE("a machine that cannot be is refused with what it has", "[snapshot]") {
    using Change = std::function<void(MachineRecord&)>;
    const std::pair<Change, std::string> kImpossible[]{
        {[](MachineRecord& r) { r.config.memory_bytes = 4096; }, "4096 bytes of memory"},
        {[](MachineRecord& r) { r.config.memory_bytes = MiB(128) + 1; }, "134217729 bytes of memory"},
        {[](MachineRecord& r) { r.config.memory_bytes = u64{1} << 60; },
         "1152921504606846976 bytes of memory"},
        {[](MachineRecord& r) { r.config.kernel = "\x1b[2J"; }, "a name with control characters"},
        {[](MachineRecord& r) { r.config.exec->program = "a\nb"; }, "a name with control characters"},
        {[](MachineRecord& r) { r.plan.cpus = 0; }, "0 vCPUs"},
        {[](MachineRecord& r) { r.plan.cpus = 65; }, "65 vCPUs"},
        {[](MachineRecord& r) { r.plan.kernel.protocol = Protocol::Auto; }, "no boot protocol"},
        {[](MachineRecord& r) { r.plan.console = ConsoleDevice::Auto; }, "no console"},
        {[](MachineRecord& r) { r.plan.log.reset(); }, "no kernel log"},
        {[](MachineRecord& r) { r.config.disks[0].queues = 17; }, "a disk with 17 queues"},
        {[](MachineRecord& r) { r.config.disks[0].queues = 0; }, "a disk with 0 queues"},
        {[](MachineRecord& r) { r.config.disks[0].id.assign(21, 'x'); }, "a disk with too long an id"},
        {[](MachineRecord& r) { r.config.nets[0].mtu = 67; }, "an MTU of 67"},
        {[](MachineRecord& r) { r.config.nets[0].pairs = 0; }, "a network with 0 queue pairs"},
        {[](MachineRecord& r) { r.config.nets[0].pairs = 9; },
         "a network with 9 queue pairs"},
        {[](MachineRecord& r) { r.plan.devices.devices[2].mac[0] = 1; },
         "a network without an address of its own"},
        {[](MachineRecord& r) { r.config.exit_ports.assign(17, 1); }, "17 exit ports"},
        {[](MachineRecord& r) { r.config.exec->grace = std::chrono::milliseconds(-1); },
         "a grace of 18446744073709551615 ms"},
    };
    for (const auto& [change, what] : kImpossible) {
        MachineRecord record = full_record();
        change(record);
        CHECK(refusal_of(encode(record)) == "the snapshot is damaged: its machine has " + what);
    }
    MachineRecord record = full_record();
    record.plan.shape.irqchip = Irqchip::Split;
    CHECK(refusal_of(encode(record)).find("the legacy profile has no --irqchip split") == 0);
    record = full_record();
    record.config.disks.assign(300, {});
    CHECK_FALSE(decoded(encode(record)).has_value());
}

TEST_CASE("a record of another layout is refused, whatever follows", "[snapshot]") {
    Section section = encode(full_record());
    section.payload.resize(6);
    section.payload[0] = std::byte{2};
    CHECK(refusal_of(section) ==
          "its machine has layout 2, and this mayfly's have layout 1 (restore it with the mayfly that made "
          "it)");
}

}  // namespace mayfly
