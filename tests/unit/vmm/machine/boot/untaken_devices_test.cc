// SPDX-License-Identifier: Apache-2.0
// When devices that no driver took are reported, and with which cure.
#include "vmm/machine/boot/untaken_devices.h"

#include <catch2/catch.hpp>

#include "firmware/init/report.h"

using namespace mayfly;

namespace {

using Lines = std::vector<std::string>;

Ending reported(InitReport report) { return {EndKind::ProgramEnded, encode_init_report(report), {}}; }

PlannedDevice device(DeviceKind kind, std::string name) {
    return {.kind = kind, .index = 0, .name = std::move(name), .pci = {}, .mmio = {}};
}

BootConfig with_program(std::string modules = {}) {
    BootConfig config;
    config.exec.emplace();
    config.exec->modules = std::move(modules);
    return config;
}

}  // namespace

TEST_CASE("a program that ended, however it did, may have lacked a device") {
    const BootConfig config = with_program();
    CHECK(may_lack_devices(config, reported({InitReport::Kind::Exited, InitStep::None, 0})));
    CHECK(may_lack_devices(config, reported({InitReport::Kind::Exited, InitStep::None, 9})));
    CHECK(may_lack_devices(config, reported({InitReport::Kind::Signalled, InitStep::None, 6})));
    CHECK(may_lack_devices(config, {EndKind::Unreported, 0, {}}));
    CHECK(may_lack_devices(config, {EndKind::Panic, 0, {}}));
    // It never ran, for a reason that init gives.
    CHECK_FALSE(may_lack_devices(config, reported({InitReport::Kind::InitFailed, InitStep::Module, 2})));
    CHECK_FALSE(may_lack_devices(config, {EndKind::ProgramEnded, 0x1234, {}}));
    for (const EndKind kind : {EndKind::Timeout, EndKind::Signal, EndKind::Quit, EndKind::HostError,
                               EndKind::Crash, EndKind::FailedOn})
        CHECK_FALSE(may_lack_devices(config, {kind, 0, {}}));
}

TEST_CASE("any other guest may have lacked a device only if it found no root") {
    const BootConfig config;
    CHECK(may_lack_devices(config, {EndKind::Panic, 0, {}, "VFS: Unable to mount root fs on vda"}));
    CHECK_FALSE(may_lack_devices(config, {EndKind::Panic, 0, {}, "sysrq triggered crash"}));
    for (const EndKind kind : {EndKind::PowerOff, EndKind::Reset, EndKind::ExitCode, EndKind::Expected})
        CHECK_FALSE(may_lack_devices(config, {kind, 0, {}}));
}

TEST_CASE("each device is printed with its missing drivers, and where they come from") {
    const std::vector<PlannedDevice> devices{device(DeviceKind::Disk, "disk0"),
                                             device(DeviceKind::Net, "net1")};
    CHECK(
        untaken_lines(with_program(), devices, {"virtio_pci", "virtio_blk"}) ==
        Lines{"disk0: no driver of the guest took it; this kernel has virtio_pci and virtio_blk as modules, "
              "if at all: --modules auto, or --modules DIR",
              "net1: no driver of the guest took it; this kernel has virtio_pci as a module, if at all: "
              "--modules auto, or --modules DIR"});
    CHECK(
        untaken_lines(with_program("auto"), devices, {"virtio_blk"}) ==
        Lines{"disk0: no driver of the guest took it; this kernel has virtio_blk as a module, if at all: see "
              "-v for its state",
              "net1: no driver of the guest took it"});
    CHECK(
        untaken_lines({}, {devices[1]}, {"virtio_net"}) ==
        Lines{"net1: no driver of the guest took it; this kernel has virtio_net as a module, if at all: its "
              "initramfs has to load virtio_net"});
    BootConfig mmio = with_program();
    mmio.transport = TransportChoice::Mmio;
    CHECK(untaken_lines(mmio, {devices[0]}, {"virtio_pci"}) ==
          Lines{"disk0: no driver of the guest took it"});
    CHECK(untaken_lines(mmio, {}, {"virtio_pci"}).empty());
}

TEST_CASE("a console is printed where the user asked for it") {
    BootConfig config = with_program();
    const PlannedDevice console = device(DeviceKind::Console, "console0");
    CHECK(untaken_lines(config, {console}, {}).empty());
    config.console_device = ConsoleDevice::Virtio;
    CHECK(untaken_lines(config, {console}, {}) == Lines{"console0: no driver of the guest took it"});
}
