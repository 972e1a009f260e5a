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
#include "devices/platform/init_port.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/ready_port.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/system_control_a.h"
#include "devices/uart/uart16550.h"
#include "vmm/machine/console/guest_console.h"
#include "vmm/machine/interrupts/test_device_wiring.h"
#include "vmm/machine/lifecycle/timeline.h"
#include "vmm/machine/plan/profile.h"
#include "vmm/snapshot/machine_state.h"

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
    Platform(const PlatformOptions& options, Interrupts& interrupts, GuestConsole& console, StopControl& stop,
             Timeline& timeline);

    /// Errors: an exit port that another device already has.
    /// Without its reset control, where the PCI configuration ports enclose and reach it.
    Result<void> map_devices(const PlatformOptions& options, Irqchip irqchip, bool has_config_ports);
    /// Before map_devices(), whose exit ports give way to the serial port. It outlives the platform.
    void add_init_port(InitPort& port);
    /// Before map_devices(), whose ports give way to those of the test device. `vm` and `rewiring` outlive
    /// the platform.
    void add_test_device(KvmVm& vm, Interrupts& interrupts, RewiringLimit& rewiring);

    [[nodiscard]] Bus& ports() { return ports_; }
    [[nodiscard]] Bus& mmio() { return mmio_; }
    [[nodiscard]] IoDevice& reset_control() { return endings_.reset_control; }
    /// Null without a test device.
    [[nodiscard]] TestDeviceWiring* test_device() { return test_device_ ? &*test_device_ : nullptr; }
    /// Makes the serial port the console that gets typed input; \returns its receiver. Before any vCPU runs.
    [[nodiscard]] ConsoleInput::Deliver connect_serial();
    /// Once that is connected: a guest that listened before the restore still listens.
    void ask_for_serial_input();
    /// Sends a byte to the serial port, if the guest listens. By a vCPU or a visitor, without the port's
    /// lock.
    void wake_by_serial();

    /// While no vCPU runs, and no thread visits.
    [[nodiscard]] PlatformState save() const;
    /// Once interrupts are restored, before any vCPU runs. False: no guest can have left it so.
    [[nodiscard]] bool restore(const PlatformState& state);

  private:
    class Marks final : public BootMarkSink {
      public:
        Marks(Timeline& timeline, SnapshotTrigger& snapshot) : timeline_(timeline), snapshot_(snapshot) {}
        void on_mark(u32 value) override {
            timeline_.guest_mark(value);
            snapshot_.on_mark(value);
        }

      private:
        Timeline& timeline_;
        SnapshotTrigger& snapshot_;
    };
    class HostClock final : public WallClock {
      public:
        [[nodiscard]] i64 seconds_since_epoch() const override;
    };
    /// The guest's output.
    struct Consoles {
        Consoles(GuestConsole& console, IrqLine& serial_line);

        SerialConsole serial;
        Uart16550 uart;
        std::optional<DebugConsole> debug;
    };
    /// Its progress and its verdict.
    struct Reports {
        Reports(Timeline& timeline, StopControl& stop, ExitPort::Form exit_form);
        [[nodiscard]] PlatformState::Reports save() const;
        void restore(const PlatformState::Reports& state);

        Marks marks;
        ExitPort exit_port;
        PostPort post_port;
        BootTimer boot_timer;
        ReadyPort ready_port;
    };
    /// Its reset, power-off or panic as on a PC.
    struct Endings {
        explicit Endings(VerdictSink& verdicts);
        [[nodiscard]] PlatformState::Endings save() const;
        [[nodiscard]] bool restore(const PlatformState::Endings& state);

        I8042 i8042;
        ResetControl reset_control;
        SystemControlA system_control_a;
        AcpiSleep acpi_sleep;
        AcpiPm1 acpi_pm1;
        Pvpanic pvpanic;
    };
    Result<void> map_exit_ports(std::span<const u16> exit_ports);

    StopControl& stop_;
    Bus ports_;
    Bus mmio_;
    HostClock clock_;
    Cmos cmos_;
    Consoles consoles_;
    Reports reports_;
    Endings endings_;
    AbsentPorts absent_ports_;
    std::optional<TestDeviceWiring> test_device_;
};

}  // namespace mayfly
