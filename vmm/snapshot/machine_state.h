// SPDX-License-Identifier: Apache-2.0
// MachineState: the state of a paused machine, without its memory, its shape and its devices' backends. Plain
// values; the owner of each part saves and restores it.
//
// Thread: any; values only.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "devices/pci/config_ports.h"
#include "devices/platform/absent_ports.h"
#include "devices/platform/acpi_pm1.h"
#include "devices/platform/acpi_sleep.h"
#include "devices/platform/boot_timer.h"
#include "devices/platform/cmos.h"
#include "devices/platform/debug_console.h"
#include "devices/platform/early_uart.h"
#include "devices/platform/exit_port.h"
#include "devices/platform/i8042.h"
#include "devices/platform/init_port.h"
#include "devices/platform/io_apic.h"
#include "devices/platform/pic8259.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/system_control_a.h"
#include "devices/platform/test_device.h"
#include "devices/uart/uart16550.h"
#include "devices/virtio/block/block.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net/net.h"
#include "devices/virtio/transport/mmio_transport.h"
#include "devices/virtio/transport/pci_transport.h"
#include "firmware/init/channel.h"
#include "vmm/kvm/state/vcpu_state.h"
#include "vmm/kvm/state/vm_state.h"

namespace mayfly {

/// The interrupt controllers that are not in the kernel.
struct InterruptsState {
    bool is_serial_line_high = false;
    std::optional<IoApic::State> io_apic;  ///< with LAPICs alone in the kernel
    std::optional<Pic8259::State> pic;     ///< with nothing there
    bool is_vcpu_halted = false;           ///< with `pic`: the vCPU waits in an HLT
};

struct TestDeviceState {
    struct Message {
        u32 address = 0;
        u32 data = 0;
    };
    TestDevice::State device;
    Message train;
    Message loopback;
    u8 train_left = 0;  ///< interrupts left of a running train
};

/// Grouped like the chips in Platform.
struct PlatformState {
    struct Reports {
        ExitPort::State exit_port;
        PostPort::State post_port;
        BootTimer::State boot_timer;
    };
    struct Endings {
        I8042::State i8042;
        ResetControl::State reset_control;
        SystemControlA::State system_control_a;
        AcpiSleep::State acpi_sleep;
        AcpiPm1::State acpi_pm1;
        Pvpanic::State pvpanic;
    };
    Cmos::State cmos;
    Uart16550::State uart;
    std::optional<DebugConsole::State> debug;
    Reports reports;
    Endings endings;
    AbsentPorts::State absent_ports;
    std::optional<TestDeviceState> test_device;
};

struct VirtioDeviceState {
    VirtioCore::State core;
    /// Of the device's kind; an entropy device has none.
    std::variant<std::monostate, Block::State, Net::State, Console::State> model;
    std::variant<PciTransport::State, MmioTransport::State> transport;
};

struct VirtioDevicesState {
    std::vector<VirtioDeviceState> devices;  ///< in the order of the plan
    std::optional<ConfigPorts::State> config_ports;
};

/// How much of a Linux guest's log was printed for it.
struct KernelLogState {
    bool has_handed_over = false;
    u64 next_id = 0;
    u64 seen_id = 0;
    i32 level = 0;  ///< KernelLog::set_level()'s
};

struct ConsoleState {
    std::optional<KernelLogState> log;
    std::optional<EarlyUart::State> early;
};

/// The monitor's side of the channel to our init.
struct ProgramChannelState {
    bool is_open = false;
    u32 header_frame = 0;
    std::array<u32, channel::kFrames> frames{};
    std::array<u32, channel::kRings> counts{};  ///< what was put as input, and taken as output
    u32 messages_put = 0;
};

/// Init's messages for our stderr.
struct InitText {
    std::string line{};  ///< the unfinished line
    u32 lines_shown = 0;
};

struct ProgramState {
    InitPort::State port;
    ProgramChannelState channel;
    std::vector<std::byte> held_input;  ///< read, and not in the channel yet
    InitText text;
};

struct MachineState {
    std::vector<VcpuState> vcpus;
    VmState vm;
    InterruptsState interrupts;
    PlatformState platform;
    VirtioDevicesState virtio;
    ConsoleState console;
    std::optional<ProgramState> program;  ///< with our init
};

}  // namespace mayfly
