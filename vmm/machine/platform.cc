// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/platform.h"

#include <algorithm>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

Cmos::Memory cmos_memory(u64 memory_bytes) {
    const u64 low = std::min(memory_bytes, layout::kHole.value);
    return {.below_4g_bytes = low, .above_4g_bytes = memory_bytes - low};
}

/// Groups of ports whose hardware this machine has elsewhere are left out.
u32 absent_groups(Irqchip irqchip) {
    u32 groups = AbsentPorts::kAll;
    if (irqchip == Irqchip::Full)
        groups &= ~u32{AbsentPorts::kPic | AbsentPorts::kPit | AbsentPorts::kSystemControlB};
    if (irqchip == Irqchip::None) groups &= ~u32{AbsentPorts::kPic};
    return groups;
}

}  // namespace

i64 Platform::HostClock::seconds_since_epoch() const { return wall_seconds(); }

Platform::Platform(const PlatformOptions& options, Interrupts& interrupts, DebugPort& debug,
                   ConsoleInput& input, StopControl& stop, Timeline& timeline)
    : marks_(timeline),
      serial_(debug.serial_sink(), input),
      uart_(interrupts.serial_line(), serial_),
      exit_port_(stop, options.exit_form),
      post_port_(marks_),
      boot_timer_(marks_),
      cmos_(cmos_memory(options.memory_bytes), clock_),
      i8042_(stop),
      reset_control_(stop),
      system_control_a_(stop),
      acpi_sleep_(layout::kSleepTypeS5, stop),
      acpi_pm1_(layout::kSleepTypeS5, stop),
      pvpanic_(stop) {
    if (ByteSink* sink = debug.sink()) debug_console_.emplace(*sink);
}

Result<void> Platform::map_devices(const PlatformOptions& options, Irqchip irqchip, bool has_config_ports) {
    ports_.map(layout::kPortSerial, Uart16550::kSizeBytes, uart_);
    if (debug_console_) ports_.map(layout::kPortDebugConsole, DebugConsole::kSizeBytes, *debug_console_);
    ports_.map(layout::kPortPost, PostPort::kSizeBytes, post_port_);
    ports_.map(BootTimer::kPort, BootTimer::kPortSizeBytes, boot_timer_);
    mmio_.map(layout::kBootTimer.value, BootTimer::kMmioSizeBytes, boot_timer_);
    ports_.map(layout::kPortCmos, Cmos::kSizeBytes, cmos_);
    ports_.map(layout::kPortI8042Data, 1, i8042_, I8042::kDataOffset);
    ports_.map(layout::kPortI8042Command, 1, i8042_, I8042::kCommandOffset);
    if (!has_config_ports) ports_.map(layout::kPortReset, ResetControl::kSizeBytes, reset_control_);
    ports_.map(layout::kPortSystemControlA, SystemControlA::kSizeBytes, system_control_a_);
    ports_.map(layout::kPortPm1aEvent, AcpiPm1::kSizeBytes, acpi_pm1_);
    if (options.profile == Profile::Modern)
        ports_.map(layout::kPortSleepControl, AcpiSleep::kSizeBytes, acpi_sleep_);
    ports_.map(layout::kPortPvpanic, Pvpanic::kSizeBytes, pvpanic_);
    absent_ports_.map_onto(ports_, absent_groups(irqchip));
    for (const u16 port : options.exit_ports) {
        // Up to four bytes wide, as far as the neighbours leave room.
        u64 width = ExitPort::kSizeBytes;
        for (const u16 other : options.exit_ports) {
            if (other > port) width = std::min<u64>(width, other - port);
        }
        while (width > 0 && !ports_.is_free(port, width)) --width;
        if (width == 0)
            return fail(Error::invalid(
                fmt::format("--exit-port {:#x} is taken by the machine's {}", port, ports_.name_at(port))));
        ports_.map(port, width, exit_port_);
    }
    return {};
}

}  // namespace mayfly
