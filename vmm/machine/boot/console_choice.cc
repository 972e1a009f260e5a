// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/console_choice.h"

#include <algorithm>
#include <array>

#include "vmm/machine/boot/linux_command_line.h"

namespace mayfly {

namespace {

bool can_read_log(const BootConfig& config, const PrintkRing& ring) {
    // Linux's log_buf_add_cpu(): it moves its log where further processors add room, 4 KiB each.
    constexpr u64 kMoreForACpu = KiB(4);
    constexpr u32 kTextBitsMin = 17;  // enough for a boot's log, so that nothing is overwritten
    if (ring.text_bits < kTextBitsMin) return false;
    if ((config.cpus - 1) * kMoreForACpu > (u64{1} << ring.text_bits) / 2) return false;
    // Parameters that move the log too, or alter its printed form.
    constexpr std::array kUnusual{"possible_cpus", "log_buf_len", "printk.time", "console_msg_format"};
    return std::ranges::none_of(kUnusual,
                                [&](std::string_view key) { return has_parameter(config.append, key); });
}

}  // namespace

std::optional<ConsoleDevice> console_by_options(const BootConfig& config, bool is_linux) {
    if (config.console_device != ConsoleDevice::Auto) return config.console_device;
    // A serial port costs two exits a character, and shows the messages from before the first driver; a user
    // who names a console has decided.
    if (!is_linux) return ConsoleDevice::Serial;
    if (has_parameter(config.append, "console"))
        return config.append.find("console=hvc") != std::string::npos ? ConsoleDevice::Virtio
                                                                      : ConsoleDevice::Serial;
    if (!config.has_default_append || has_parameter(config.append, "earlycon") ||
        has_parameter(config.append, "earlyprintk"))
        return ConsoleDevice::Serial;
    return std::nullopt;
}

ConsoleDevice console_by_drivers(TransportChoice transport, LinuxDrivers drivers) {
    // Where virtio is built in, so is its PCI transport; the MMIO transport is a module in Debian.
    const bool has_transport = transport == TransportChoice::Pci || drivers.has_virtio_mmio;
    return has_transport && drivers.has_virtio_console ? ConsoleDevice::Virtio : ConsoleDevice::Serial;
}

bool lacks_early_output(const BootConfig& config, bool is_linux, ConsoleDevice console) {
    return is_linux && config.has_default_append && console == ConsoleDevice::Virtio &&
           !config.has_test_device && !has_parameter(config.append, "console") &&
           !has_parameter(config.append, "earlycon");
}

EarlyOutput choose_early_output(const BootConfig& config, const std::optional<PrintkRing>& ring) {
    return ring && can_read_log(config, *ring) ? EarlyOutput::Log : EarlyOutput::Uart;
}

}  // namespace mayfly
