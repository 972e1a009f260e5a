// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/machine_plan.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

/// A plan with the parts that the command line depends on.
MachinePlan plan_of(bool is_linux, ConsoleDevice console, EarlyOutput early = EarlyOutput::None) {
    MachinePlan plan;
    plan.kernel.is_linux = is_linux;
    plan.console = console;
    plan.early_output = early;
    return plan;
}

BootConfig with(std::string append) {
    BootConfig config;
    config.append = std::move(append);
    return config;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Of a built-in guest, which needs no file.
Result<MachinePlan> plan_builtin(const BootConfig& config, const HostKind& host = {}) {
    GuestImages images = GuestImages::open(config, {}).value();
    return plan_machine(config, host, images);
}

BootConfig hello() {
    BootConfig config;
    config.kernel = "builtin:hello";
    return config;
}

}  // namespace

TEST_CASE("a Linux guest's line names the chosen console, and the early one where it exists",
          "[machine_plan]") {
    const GuestCommandLine serial = plan_command_line(plan_of(true, ConsoleDevice::Serial), with("a"), false);
    CHECK(contains(serial.text, "console=ttyS0"));
    CHECK_FALSE(contains(serial.text, "earlycon"));
    CHECK(serial.marks_panics);
    const MachinePlan early = plan_of(true, ConsoleDevice::Virtio, EarlyOutput::Uart);
    CHECK(contains(plan_command_line(early, with("a"), false).text, "earlycon=uart8250,mmio"));
    CHECK(contains(plan_command_line(early, with("a"), false).text, "console=hvc0"));
    const MachinePlan log = plan_of(true, ConsoleDevice::Virtio, EarlyOutput::Log);
    CHECK_FALSE(contains(plan_command_line(log, with("a"), false).text, "earlycon"));
}

TEST_CASE("our init is named for a program only", "[machine_plan]") {
    BootConfig config = with("a");
    CHECK_FALSE(
        contains(plan_command_line(plan_of(true, ConsoleDevice::Serial), config, false).text, "rdinit"));
    config.exec.emplace();
    const std::string line = plan_command_line(plan_of(true, ConsoleDevice::Serial), config, false).text;
    CHECK(contains(line, "rdinit=/.mayfly/init"));
    CHECK(contains(line, "quiet"));
    CHECK_FALSE(
        contains(plan_command_line(plan_of(true, ConsoleDevice::Serial), config, true).text, "quiet"));
}

TEST_CASE("a line without room for our words is the user's alone, and this is reported", "[machine_plan]") {
    const MachinePlan plan = plan_of(true, ConsoleDevice::Serial);
    const GuestCommandLine full = plan_command_line(plan, with(std::string(2040, 'x')), false);
    CHECK(full.lacks_defaults);
    CHECK_FALSE(full.marks_panics);
    // The loader refuses this line with its own message.
    CHECK_FALSE(plan_command_line(plan, with(std::string(2048, 'x')), false).lacks_defaults);
    BootConfig plain = with(std::string(2040, 'x'));
    plain.has_default_append = false;
    CHECK_FALSE(plan_command_line(plan, plain, false).lacks_defaults);
}

TEST_CASE("another kernel gets the user's words, and its virtio-mmio devices after them", "[machine_plan]") {
    BootConfig config = with("one two");
    config.transport = TransportChoice::Mmio;
    config.disks.resize(1);
    MachinePlan plan = plan_of(false, ConsoleDevice::Serial);
    CHECK(plan_command_line(plan, config, false).text == "one two");
    plan.shape.profile = Profile::Legacy;
    plan.shape.irqchip = Irqchip::Full;
    plan.devices = plan_devices(config, plan.shape, ConsoleDevice::Serial).value();
    CHECK(plan_command_line(plan, config, false).text == "one two virtio_mmio.device=4K@0xc0001000:5");
    config.append.clear();
    CHECK(plan_command_line(plan, config, false).text == "virtio_mmio.device=4K@0xc0001000:5");
}

TEST_CASE("choices are kept beside the user's options", "[machine_plan]") {
    BootConfig config = hello();
    config.cpus = 2;
    const Result<MachinePlan> plan = plan_builtin(config);
    REQUIRE(plan);
    CHECK(plan->cpus == 2);
    CHECK_FALSE(plan->kernel.is_linux);
    CHECK(plan->kernel.protocol != Protocol::Auto);
    CHECK(plan->console == ConsoleDevice::Serial);
    CHECK(plan->early_output == EarlyOutput::None);
    CHECK_FALSE(plan->has_config_ports);
    CHECK(config.console_device == ConsoleDevice::Auto);
}

TEST_CASE("a kernel other than Linux finds its devices by the configuration ports", "[machine_plan]") {
    BootConfig config = hello();
    config.has_rng = true;
    const Result<MachinePlan> plan = plan_builtin(config);
    REQUIRE(plan);
    CHECK(plan->devices.has_pci());
    CHECK(plan->has_config_ports);
}

TEST_CASE("an impossible protocol or machine is refused with the option", "[machine_plan]") {
    BootConfig config = hello();
    config.profile = ProfileChoice::Legacy;
    config.irqchip = IrqchipChoice::Split;
    const Result<MachinePlan> plan = plan_builtin(config);
    REQUIRE_FALSE(plan);
    CHECK(contains(plan.error().message(), "irqchip"));
}

TEST_CASE("a choice is printed with its reason, the 8254's only where it exists", "[machine_plan]") {
    BootConfig config = hello();
    const auto told = [&](const HostKind& host) {
        std::string text;
        for (const std::string& line : describe(plan_builtin(config, host).value(), config, "K"))
            text += line + "\n";
        return text;
    };
    CHECK(contains(told({}), "kernel K: "));
    CHECK(contains(told({}), "profile modern, irqchip split: "));
    CHECK(contains(told({}), "128 MiB memory, 1 vCPU, "));
    CHECK_FALSE(contains(told({}), "8254"));
    config.profile = ProfileChoice::Legacy;
    config.cpus = 4;
    CHECK(contains(told({}), "8254: late ticks are reinjected: "));
    CHECK(contains(told({}), "4 vCPUs"));
    HostKind avic;
    avic.has_avic = true;
    CHECK(contains(told(avic), "8254: late ticks are discarded: "));
    config.pit = PitChoice::Reinject;
    CHECK(contains(told(avic), "8254: late ticks are reinjected: as requested"));
}

TEST_CASE("-v prints the tag of each directory", "[machine_plan]") {
    BootConfig config = hello();
    config.shares = {{.options = {.directory = "/srv/data", .owner = {}}, .tag = "data", .mount_point = ""},
                     {.options = {.directory = "src", .is_read_only = true, .owner = ShareOwner{1000, 100}},
                      .tag = "share1",
                      .mount_point = "/src"}};
    const std::vector<std::string> lines = describe(plan_builtin(config).value(), config, "K");
    REQUIRE(lines.size() > 2);
    CHECK(lines[lines.size() - 2] == "share0: /srv/data has the tag data");
    CHECK(lines.back() ==
          "share1: src has the tag share1, and is mounted at /src; read-only; all files are shown as "
          "1000:100's");
}
