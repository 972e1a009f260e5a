// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/machine_plan.h"

#include <fmt/format.h>

#include "firmware/boot/linux_driver.h"
#include "vmm/initramfs/initramfs.h"
#include "vmm/text/log.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

ConsoleDevice choose_console(const BootConfig& config, bool is_linux,
                             const std::optional<ElfImage>& vmlinux) {
    if (const std::optional<ConsoleDevice> chosen = console_by_options(config, is_linux)) return *chosen;
    // Each needs a search of the kernel's constants, so neither is made without need.
    LinuxDrivers drivers;
    const auto has = [&](std::string_view driver) { return vmlinux && has_driver(*vmlinux, driver); };
    drivers.has_virtio_mmio = config.transport == TransportChoice::Mmio && has("virtio-mmio");
    drivers.has_virtio_console =
        (config.transport == TransportChoice::Pci || drivers.has_virtio_mmio) && has("virtio_console");
    return console_by_drivers(config.transport, drivers);
}

std::string share_line(std::string_view name, const ShareConfig& share) {
    const ShareOptions& options = share.options;
    std::string line = fmt::format("{}: {} has the tag {}", name, options.directory, share.tag);
    if (!share.mount_point.empty()) line += ", and is mounted at " + share.mount_point;
    if (options.is_read_only) line += "; read-only";
    if (options.owner)
        line += fmt::format("; all files are shown as {}:{}'s", options.owner->uid, options.owner->gid);
    return line;
}

}  // namespace

Result<MachinePlan> plan_machine(const BootConfig& config, const HostKind& host, GuestImages& images) {
    MachinePlan plan;
    plan.host = host;
    plan.cpus = config.cpus;
    plan.kernel = TRY(choose_kernel(images.kernel(), config.protocol));
    plan.shape = TRY(choose_shape(config, plan.kernel.protocol));
    TRY_VOID(images.unpack(plan.kernel, config.memory_bytes, config.kernel_cache));
    const bool is_linux = plan.kernel.is_linux;
    if (config.is_quick_linux && !is_linux)
        return fail(
            Error::invalid(fmt::format("--quick-linux: {} is not a Linux kernel", images.kernel().name())));
    plan.pit = choose_pit(config.pit, is_linux, host.has_avic);
    const std::optional<ElfImage> vmlinux = images.vmlinux(plan.kernel);
    plan.console = choose_console(config, is_linux, vmlinux);
    if (lacks_early_output(config, is_linux, plan.console)) {
        if (vmlinux) plan.log = find_printk_ring(*vmlinux);
        plan.early_output = choose_early_output(config, plan.log);
    }
    plan.devices = TRY(plan_devices(config, plan.shape, plan.console));
    TRY_VOID(choose_macs(config, plan.devices));
    plan.has_config_ports = has_config_ports(plan);
    plan.command_line = plan_command_line(plan, config, log::is_verbose());
    return plan;
}

bool has_config_ports(const MachinePlan& plan) {
    // Linux would prefer these ports to ECAM, which it is told of.
    return plan.devices.has_pci() && (plan.shape.profile == Profile::Legacy || !plan.kernel.is_linux);
}

std::vector<std::string> describe(const MachinePlan& plan, const BootConfig& config,
                                  std::string_view kernel_name) {
    std::vector<std::string> lines;
    lines.push_back(
        fmt::format("kernel {}: {} ({})", kernel_name, to_string(plan.kernel.protocol), plan.kernel.why));
    lines.push_back(fmt::format("profile {}, irqchip {}: {}", to_string(plan.shape.profile),
                                to_string(plan.shape.irqchip), plan.shape.why));
    if (plan.shape.irqchip == Irqchip::Full)
        lines.push_back(fmt::format("8254: late ticks are {}: {}",
                                    plan.pit.reinjects ? "reinjected" : "discarded", plan.pit.why));
    lines.push_back(fmt::format("{} memory, {} vCPU{}, KVM flavour {}", print_size(config.memory_bytes),
                                plan.cpus, plan.cpus == 1 ? "" : "s", to_string(plan.host.flavour)));
    for (const PlannedDevice& device : plan.devices.devices)
        if (device.kind == DeviceKind::Share)
            lines.push_back(share_line(device.name, config.shares[device.index]));
    return lines;
}

GuestCommandLine plan_command_line(const MachinePlan& plan, const BootConfig& config, bool is_verbose) {
    if (plan.kernel.is_linux) {
        // Virtio-mmio devices are in ACPI; with words on the command line as well, Linux would try each of
        // them twice.
        LinuxCommandLine line =
            linux_command_line(config, {plan.console, plan.early_output == EarlyOutput::Uart},
                               config.exec ? kInitPath : std::string_view(), is_verbose);
        const bool is_refused = line.text.size() > kLinuxCommandLineMax;  // the loader reports it
        return {.text = std::move(line.text),
                .lacks_defaults = config.has_default_append && !line.has_defaults && !is_refused,
                .marks_panics = line.marks_panics};
    }
    // A kernel that only starts like Linux may pass a word that it does not know to its program.
    const std::string devices = plan.devices.mmio_words();
    return {.text = config.append + (config.append.empty() || devices.empty() ? "" : " ") + devices,
            .lacks_defaults = false,
            .marks_panics = false};
}

}  // namespace mayfly
