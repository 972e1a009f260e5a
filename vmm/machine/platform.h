// SPDX-License-Identifier: Apache-2.0
// Platform: the chips that a profile has, and their places on the two buses.
//
// Thread: built by the main thread; the buses are frozen before the first vCPU runs.
#pragma once

#include <optional>
#include <span>

#include "devices/io/bus.h"
#include "devices/platform/absent_ports.h"
#include "devices/platform/acpi_pm1.h"
#include "devices/platform/acpi_sleep.h"
#include "devices/platform/boot_timer.h"
#include "devices/platform/cmos.h"
#include "devices/platform/debug_console.h"
#include "devices/platform/exit_port.h"
#include "devices/platform/i8042.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/system_control_a.h"
#include "devices/uart/uart16550.h"
#include "vmm/machine/console/console.h"
#include "vmm/machine/console/debug_port.h"
#include "vmm/machine/lifecycle/timeline.h"
#include "vmm/machine/plan/profile.h"

namespace mayfly {

struct PlatformOptions {
    Profile profile;
    u64 memory_bytes;
    std::span<const u16> exit_ports;
    ExitPort::Form exit_form;
};

class Platform {
  public:
    /// All references outlive the platform.
    Platform(const PlatformOptions& options, Interrupts& interrupts, DebugPort& debug, ConsoleInput& input,
             StopControl& stop, Timeline& timeline);

    /// Errors: an exit port that another device already has.
    /// Without its reset control, where the PCI configuration ports lie around it and reach it.
    Result<void> map_devices(const PlatformOptions& options, Irqchip irqchip, bool has_config_ports);

    [[nodiscard]] Bus& ports() { return ports_; }
    [[nodiscard]] Bus& mmio() { return mmio_; }
    [[nodiscard]] Uart16550& uart() { return uart_; }
    [[nodiscard]] SerialConsole& serial() { return serial_; }
    [[nodiscard]] IoDevice& reset_control() { return reset_control_; }

  private:
    class Marks final : public BootMarkSink {
      public:
        explicit Marks(Timeline& timeline) : timeline_(timeline) {}
        void on_mark(u32 value) override { timeline_.guest_mark(value); }

      private:
        Timeline& timeline_;
    };
    class HostClock final : public WallClock {
      public:
        [[nodiscard]] i64 seconds_since_epoch() const override;
    };

    Bus ports_;
    Bus mmio_;
    Marks marks_;
    HostClock clock_;
    SerialConsole serial_;
    Uart16550 uart_;
    std::optional<DebugConsole> debug_console_;
    ExitPort exit_port_;
    PostPort post_port_;
    BootTimer boot_timer_;
    Cmos cmos_;
    I8042 i8042_;
    ResetControl reset_control_;
    SystemControlA system_control_a_;
    AcpiSleep acpi_sleep_;
    AcpiPm1 acpi_pm1_;
    Pvpanic pvpanic_;
    AbsentPorts absent_ports_;
};

}  // namespace mayfly
