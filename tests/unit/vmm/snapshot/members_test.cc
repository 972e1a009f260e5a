// SPDX-License-Identifier: Apache-2.0
// That each member of each structure is in its encoding: a list of members could forget one, and the round
// trip of what the list fills would not tell.
#include <array>
#include <cstring>
#include <functional>

#include <catch2/catch.hpp>

#include "vmm/snapshot/chip_fields.h"
#include "vmm/snapshot/console_fields.h"
#include "vmm/snapshot/format/encoder.h"
#include "vmm/snapshot/kvm_fields.h"
#include "vmm/snapshot/machine_codec.h"
#include "vmm/snapshot/virtio_fields.h"

namespace mayfly {

namespace {

using Bytes = std::vector<std::byte>;

template <typename T>
Bytes encoded(const T& value) {
    Encoder encoder;
    encoder(value);
    return encoder.bytes();
}

/// One where a byte of a T belongs to a member, by the compiler's word.
template <typename T>
std::array<unsigned char, sizeof(T)> member_bytes() {
    std::array<unsigned char, sizeof(T)> bytes{};
    bytes.fill(1);
#if defined(__GNUC__) && !defined(__clang__)
    alignas(T) std::array<unsigned char, sizeof(T)> storage = bytes;
    __builtin_clear_padding(reinterpret_cast<T*>(storage.data()));
    bytes = storage;
#else
    bytes.fill(0);  // Clang cannot tell: nothing is checked
#endif
    return bytes;
}

template <typename T>
T with_byte(std::size_t at) {
    std::array<unsigned char, sizeof(T)> bytes{};
    if (at < bytes.size()) bytes[at] = 1;
    T value{};
    std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof value);
    return value;
}

template <typename T>
void check_members() {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto members = member_bytes<T>();
    const Bytes zeros = encoded(with_byte<T>(sizeof(T)));
    for (std::size_t at = 0; at < sizeof(T); ++at) {
        CAPTURE(at);
        if (members[at] != 0) REQUIRE(encoded(with_byte<T>(at)) != zeros);
    }
}

template <typename... Types>
void check_all() {
    (check_members<Types>(), ...);
}

MachineState full_state() {
    MachineState state;
    state.vcpus.resize(1);
    state.vcpus[0].lapic.emplace();
    state.vm.chips.emplace();
    state.interrupts.io_apic.emplace();
    state.interrupts.pic.emplace();
    state.platform.debug.emplace();
    state.platform.test_device.emplace();
    VirtioDeviceState device;
    device.core.queues.resize(1);
    device.core.queues[0].place.emplace();
    device.model = Block::State{};
    PciTransport::State transport;
    transport.queue_vectors = {0};
    transport.msix.table.resize(1);
    transport.msix.pending = {0};
    device.transport = transport;
    state.virtio.devices.push_back(device);
    state.virtio.config_ports.emplace();
    state.console.log.emplace();
    state.console.early.emplace();
    state.program.emplace();
    return state;
}

PciTransport::State& transport_of(MachineState& state) {
    return std::get<PciTransport::State>(state.virtio.devices[0].transport);
}

}  // namespace

TEST_CASE("each byte of each plain structure is in its encoding", "[snapshot]") {
    check_all<IoApic::State, Pic8259::State, Cmos::State, Uart16550::State, DebugConsole::State,
              EarlyUart::State, PlatformState::Reports, PlatformState::Endings, AbsentPorts::State,
              TestDeviceState, InitPort::State>();
    check_all<VirtioCore::Negotiated, VirtioCore::QueueState, QueuePlace, Block::State, Net::State,
              Console::State, PciTransport::Registers, PciFunction::State, Msix::Entry, MmioTransport::State,
              ConfigPorts::State>();
    check_all<KernelLogState, ProgramChannelState>();
    check_all<KernelChipsState, kvm_clock_data, kvm_regs, kvm_sregs2, kvm_xcrs, kvm_debugregs,
              kvm_vcpu_events, kvm_mp_state, kvm_lapic_state>();
}

TEST_CASE("each part of a machine's state is in its file", "[snapshot]") {
    const Bytes before = write_state_file(encode(full_state()));
    using Change = std::function<void(MachineState&)>;
    const Change kChanges[]{
        [](MachineState& s) { s.vcpus.emplace_back(); },
        [](MachineState& s) { s.vcpus[0].cpuid.emplace_back(); },
        [](MachineState& s) { s.vcpus[0].mp_state.mp_state = 1; },
        [](MachineState& s) { s.vcpus[0].regs.rip = 1; },
        [](MachineState& s) { s.vcpus[0].sregs.cr3 = 1; },
        [](MachineState& s) { s.vcpus[0].xsave = {std::byte{1}}; },
        [](MachineState& s) { s.vcpus[0].xcrs.nr_xcrs = 1; },
        [](MachineState& s) { s.vcpus[0].debugregs.dr7 = 1; },
        [](MachineState& s) { s.vcpus[0].lapic->regs[5] = 1; },
        [](MachineState& s) { s.vcpus[0].lapic.reset(); },
        [](MachineState& s) { s.vcpus[0].lapic_wall_ns = 1; },
        [](MachineState& s) { s.vcpus[0].tsc_offset = 1; },
        [](MachineState& s) { s.vcpus[0].msrs.emplace_back(); },
        [](MachineState& s) { s.vcpus[0].events.nmi.pending = 1; },
        [](MachineState& s) { s.vm.clock.clock = 1; },
        [](MachineState& s) { s.vm.wall_ns = 1; },
        [](MachineState& s) { s.vm.chips->pit.wall_ns = 1; },
        [](MachineState& s) { s.vm.chips.reset(); },
        [](MachineState& s) { s.interrupts.is_serial_line_high = true; },
        [](MachineState& s) { s.interrupts.io_apic->id = 1; },
        [](MachineState& s) { s.interrupts.pic->intr_level = true; },
        [](MachineState& s) { s.interrupts.is_vcpu_halted = true; },
        [](MachineState& s) { s.platform.cmos.index = 1; },
        [](MachineState& s) { s.platform.uart.bytes_in = 1; },
        [](MachineState& s) { s.platform.debug->bytes_out = 1; },
        [](MachineState& s) { s.platform.reports.boot_timer.marks = 1; },
        [](MachineState& s) { s.platform.endings.pvpanic.is_crash_loaded = true; },
        [](MachineState& s) { s.platform.absent_ports.toggle = true; },
        [](MachineState& s) { s.platform.test_device->train_left = 1; },
        [](MachineState& s) { s.virtio.devices[0].core.negotiated.status = 1; },
        [](MachineState& s) { s.virtio.devices[0].core.is_started = true; },
        [](MachineState& s) { s.virtio.devices[0].core.failures_logged = 1; },
        [](MachineState& s) { s.virtio.devices[0].core.queues[0].registers.size = 1; },
        [](MachineState& s) { s.virtio.devices[0].core.queues[0].place->position = 1; },
        [](MachineState& s) { s.virtio.devices[0].core.queues[0].place.reset(); },
        [](MachineState& s) { s.virtio.devices[0].model = Net::State{}; },
        [](MachineState& s) { s.virtio.devices[0].transport = MmioTransport::State{}; },
        [](MachineState& s) { transport_of(s).registers.isr = 1; },
        [](MachineState& s) { transport_of(s).shown_generation = 1; },
        [](MachineState& s) { transport_of(s).queue_vectors[0] = 1; },
        [](MachineState& s) { transport_of(s).function.registers[4] = 1; },
        [](MachineState& s) { transport_of(s).msix.table[0].address = 1; },
        [](MachineState& s) { transport_of(s).msix.pending[0] = 1; },
        [](MachineState& s) { s.virtio.config_ports->address = 1; },
        [](MachineState& s) { s.console.log->level = 1; },
        [](MachineState& s) { s.console.early->bytes_out = 1; },
        [](MachineState& s) { s.program->port.frame = 1; },
        [](MachineState& s) { s.program->channel.is_open = true; },
        [](MachineState& s) { s.program->held_input = {std::byte{1}}; },
        [](MachineState& s) { s.program->text.line = "x"; },
        [](MachineState& s) { s.program->text.lines_shown = 1; },
        [](MachineState& s) { s.program.reset(); },
    };
    std::size_t number = 0;
    for (const Change& change : kChanges) {
        MachineState state = full_state();
        change(state);
        CAPTURE(number++);
        CHECK(write_state_file(encode(state)) != before);
    }
}

}  // namespace mayfly
