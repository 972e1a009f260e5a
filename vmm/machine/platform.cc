// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/platform.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "firmware/layout.h"
#include "vmm/os/clock.h"

namespace mayfly {

namespace {

Cmos::Memory cmos_memory(u64 memory_bytes) {
    const u64 low = std::min(memory_bytes, layout::kHole.value);
    return {.below_4g_bytes = low, .above_4g_bytes = memory_bytes - low};
}

/// Groups of ports whose hardware this machine emulates are left out.
u32 absent_groups(Irqchip irqchip) {
    u32 groups = AbsentPorts::kAll;
    if (irqchip == Irqchip::Full)
        groups &= ~u32{AbsentPorts::kPic | AbsentPorts::kPit | AbsentPorts::kSystemControlB};
    if (irqchip == Irqchip::None) groups &= ~u32{AbsentPorts::kPic};
    return groups;
}

}  // namespace

i64 Platform::HostClock::seconds_since_epoch() const { return wall_seconds(); }

Platform::Consoles::Consoles(GuestConsole& console, IrqLine& serial_line)
    : serial(console.debug().serial_sink(), console.input()), uart(serial_line, serial) {
    if (ByteSink* sink = console.debug().sink()) debug.emplace(*sink);
}

Platform::Reports::Reports(Timeline& timeline, StopControl& stop, ExitPort::Form exit_form)
    : marks(timeline, stop.snapshot()),
      exit_port(stop, exit_form),
      post_port(marks),
      boot_timer(marks),
      ready_port(stop.snapshot()) {}

Platform::Endings::Endings(VerdictSink& verdicts)
    : i8042(verdicts),
      reset_control(verdicts),
      system_control_a(verdicts),
      acpi_sleep(layout::kSleepTypeS5, verdicts),
      acpi_pm1(layout::kSleepTypeS5, verdicts),
      pvpanic(verdicts) {}

Platform::Platform(const PlatformOptions& options, Interrupts& interrupts, GuestConsole& console,
                   StopControl& stop, Timeline& timeline)
    : stop_(stop),
      cmos_(cmos_memory(options.memory_bytes), clock_),
      consoles_(console, interrupts.serial_line()),
      reports_(timeline, stop, options.exit_form),
      endings_(stop) {}

void Platform::add_test_device(KvmVm& vm, Interrupts& interrupts, RewiringLimit& rewiring) {
    test_device_.emplace(vm, interrupts, rewiring, ports_, stop_.gate()).map_onto(ports_);
}

ConsoleInput::Deliver Platform::connect_serial() {
    consoles_.serial.connect();
    return [this](std::span<const u8> bytes) -> std::optional<std::size_t> {
        const GuestGate::Visit visit(stop_.gate());
        if (!visit) return std::nullopt;
        const Lock lock(ports_.mutex_of(consoles_.uart));
        return consoles_.uart.receive(bytes);
    };
}

void Platform::add_init_port(InitPort& port) { ports_.map(layout::kPortInit, InitPort::kSizeBytes, port); }

void Platform::wake_by_serial() {
    const Lock lock(ports_.mutex_of(consoles_.uart));
    constexpr std::array<u8, 1> kAny{0};
    (void)consoles_.uart.receive(kAny);
}

void Platform::ask_for_serial_input() {
    if (consoles_.uart.wants_input()) consoles_.serial.on_input_wanted();
}

PlatformState::Reports Platform::Reports::save() const {
    return {.exit_port = exit_port.state(), .post_port = post_port.state(), .boot_timer = boot_timer.state()};
}

void Platform::Reports::restore(const PlatformState::Reports& state) {
    exit_port.restore(state.exit_port);
    post_port.restore(state.post_port);
    boot_timer.restore(state.boot_timer);
}

PlatformState::Endings Platform::Endings::save() const {
    return {.i8042 = i8042.state(),
            .reset_control = reset_control.state(),
            .system_control_a = system_control_a.state(),
            .acpi_sleep = acpi_sleep.state(),
            .acpi_pm1 = acpi_pm1.state(),
            .pvpanic = pvpanic.state()};
}

bool Platform::Endings::restore(const PlatformState::Endings& state) {
    i8042.restore(state.i8042);
    pvpanic.restore(state.pvpanic);
    return reset_control.restore(state.reset_control) && system_control_a.restore(state.system_control_a) &&
           acpi_sleep.restore(state.acpi_sleep) && acpi_pm1.restore(state.acpi_pm1);
}

PlatformState Platform::save() const {
    PlatformState state{.cmos = cmos_.state(),
                        .uart = consoles_.uart.state(),
                        .debug = {},
                        .reports = reports_.save(),
                        .endings = endings_.save(),
                        .absent_ports = absent_ports_.state(),
                        .test_device = {}};
    if (consoles_.debug) state.debug = consoles_.debug->state();
    if (test_device_) state.test_device = test_device_->save();
    return state;
}

bool Platform::restore(const PlatformState& state) {
    if (state.debug.has_value() != consoles_.debug.has_value()) return false;
    if (state.test_device.has_value() != test_device_.has_value()) return false;
    if (consoles_.debug) consoles_.debug->restore(*state.debug);
    reports_.restore(state.reports);
    return cmos_.restore(state.cmos) && consoles_.uart.restore(state.uart) &&
           endings_.restore(state.endings) && absent_ports_.restore(state.absent_ports) &&
           (!test_device_ || test_device_->restore(*state.test_device));
}

Result<void> Platform::map_devices(const PlatformOptions& options, Irqchip irqchip, bool has_config_ports) {
    ports_.map(layout::kPortSerial, Uart16550::kSizeBytes, consoles_.uart);
    if (consoles_.debug) ports_.map(layout::kPortDebugConsole, DebugConsole::kSizeBytes, *consoles_.debug);
    ports_.map(layout::kPortPost, PostPort::kSizeBytes, reports_.post_port);
    ports_.map(BootTimer::kPort, BootTimer::kPortSizeBytes, reports_.boot_timer);
    mmio_.map(layout::kBootTimer.value, BootTimer::kMmioSizeBytes, reports_.boot_timer);
    ports_.map(layout::kPortCmos, Cmos::kSizeBytes, cmos_);
    ports_.map(layout::kPortI8042Data, 1, endings_.i8042, I8042::kDataOffset);
    ports_.map(layout::kPortI8042Command, 1, endings_.i8042, I8042::kCommandOffset);
    if (!has_config_ports) ports_.map(layout::kPortReset, ResetControl::kSizeBytes, endings_.reset_control);
    ports_.map(layout::kPortSystemControlA, SystemControlA::kSizeBytes, endings_.system_control_a);
    ports_.map(layout::kPortPm1aEvent, AcpiPm1::kSizeBytes, endings_.acpi_pm1);
    if (options.profile == Profile::Modern)
        ports_.map(layout::kPortSleepControl, AcpiSleep::kSizeBytes, endings_.acpi_sleep);
    ports_.map(layout::kPortPvpanic, Pvpanic::kSizeBytes, endings_.pvpanic);
    if (stop_.snapshot().is_armed(SnapshotMoment::Kind::Ready))
        ports_.map(layout::kPortReady, ReadyPort::kSizeBytes, reports_.ready_port);
    absent_ports_.map_onto(ports_, absent_groups(irqchip));
    return map_exit_ports(options.exit_ports);
}

Result<void> Platform::map_exit_ports(std::span<const u16> exit_ports) {
    for (const u16 port : exit_ports) {
        // Up to four bytes wide, as far as the neighbours leave room.
        u64 width = ExitPort::kSizeBytes;
        for (const u16 other : exit_ports) {
            if (other > port) width = std::min<u64>(width, other - port);
        }
        while (width > 0 && !ports_.is_free(port, width)) --width;
        if (width == 0)
            return fail(Error::invalid(
                fmt::format("--exit-port {:#x} is taken by the machine's {}", port, ports_.name_at(port))));
        ports_.map(port, width, reports_.exit_port);
    }
    return {};
}

}  // namespace mayfly
