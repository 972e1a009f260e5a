// SPDX-License-Identifier: Apache-2.0
// The members of the chips' state, for Encoder and Decoder.
#pragma once

#include "vmm/snapshot/format/coded_types.h"
#include "vmm/snapshot/machine_state.h"

namespace mayfly {

// Each fields() names all members: one that is added does not compile until it is coded.

namespace coded {

template <>
inline constexpr auto last_value<Pic8259::Expect> = Pic8259::Expect::Icw4;
template <>
inline constexpr auto last_value<TestDeviceHost::Status> = TestDeviceHost::Status::Refused;

}  // namespace coded

template <typename Coder>
void fields(Coder& coder, coded::As<IoApic::State> auto& state) {
    auto& [id, index, entry_low, entry_high, is_high, is_pending] = state;
    coder(id, index, entry_low, entry_high, is_high, is_pending);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Pic8259::Chip> auto& chip) {
    auto& [lines, latched, imr, isr, elcr, vector_base, lowest_priority, expect, needs_icw3, needs_icw4,
           auto_eoi, rotate_on_auto_eoi, special_mask, special_fully_nested, reads_isr, polls] = chip;
    coder(lines, latched, imr, isr, elcr, vector_base, lowest_priority, expect, needs_icw3, needs_icw4,
          auto_eoi, rotate_on_auto_eoi, special_mask, special_fully_nested, reads_isr, polls);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Pic8259::State> auto& state) {
    auto& [master, slave, intr_level] = state;
    coder(master, slave, intr_level);
}

template <typename Coder>
void fields(Coder& coder, coded::As<InterruptsState> auto& state) {
    auto& [is_serial_line_high, io_apic, pic, is_vcpu_halted] = state;
    coder(is_serial_line_high, io_apic, pic, is_vcpu_halted);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Cmos::State> auto& state) {
    auto& [index, offset_seconds, last_seen_second, cells] = state;
    coder(index, offset_seconds, last_seen_second, cells);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Uart16550::State> auto& state) {
    auto& [ier, fcr, lcr, mcr, scr, dll, dlm, line_errors, modem_deltas, thre_pending, is_listening,
           last_access_read_lsr, irq_level, fifo_head, fifo_count, fifo, bytes_in, bytes_out] = state;
    coder(ier, fcr, lcr, mcr, scr, dll, dlm, line_errors, modem_deltas, thre_pending, is_listening,
          last_access_read_lsr, irq_level, fifo_head, fifo_count, fifo, bytes_in, bytes_out);
}

template <typename Coder>
void fields(Coder& coder, coded::As<DebugConsole::State> auto& state) {
    auto& [bytes_out] = state;
    coder(bytes_out);
}

template <typename Coder>
void fields(Coder& coder, coded::As<EarlyUart::State> auto& state) {
    auto& [bytes_out] = state;
    coder(bytes_out);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ExitPort::State> auto& state) {
    auto& [writes, word] = state;
    coder(writes, word);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PostPort::State> auto& state) {
    auto& [last_value, writes] = state;
    coder(last_value, writes);
}

template <typename Coder>
void fields(Coder& coder, coded::As<BootTimer::State> auto& state) {
    auto& [marks] = state;
    coder(marks);
}

template <typename Coder>
void fields(Coder& coder, coded::As<InitPort::State> auto& state) {
    auto& [frame] = state;
    coder(frame);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PlatformState::Reports> auto& state) {
    auto& [exit_port, post_port, boot_timer] = state;
    coder(exit_port, post_port, boot_timer);
}

template <typename Coder>
void fields(Coder& coder, coded::As<I8042::State> auto& state) {
    auto& [expects_output_port, status_reads] = state;
    coder(expects_output_port, status_reads);
}

template <typename Coder>
void fields(Coder& coder, coded::As<ResetControl::State> auto& state) {
    auto& [rst_cnt] = state;
    coder(rst_cnt);
}

template <typename Coder>
void fields(Coder& coder, coded::As<SystemControlA::State> auto& state) {
    auto& [value] = state;
    coder(value);
}

template <typename Coder>
void fields(Coder& coder, coded::As<AcpiSleep::State> auto& state) {
    auto& [sleep_type] = state;
    coder(sleep_type);
}

template <typename Coder>
void fields(Coder& coder, coded::As<AcpiPm1::State> auto& state) {
    auto& [enable, control] = state;
    coder(enable, control);
}

template <typename Coder>
void fields(Coder& coder, coded::As<Pvpanic::State> auto& state) {
    auto& [is_crash_loaded] = state;
    coder(is_crash_loaded);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PlatformState::Endings> auto& state) {
    auto& [i8042, reset_control, system_control_a, acpi_sleep, acpi_pm1, pvpanic] = state;
    coder(i8042, reset_control, system_control_a, acpi_sleep, acpi_pm1, pvpanic);
}

template <typename Coder>
void fields(Coder& coder, coded::As<AbsentPorts::State> auto& state) {
    auto& [system_control_b, toggle, drive_status_reads] = state;
    coder(system_control_b, toggle, drive_status_reads);
}

template <typename Coder>
void fields(Coder& coder, coded::As<TestDevice::State> auto& state) {
    auto& [scratch, irq_levels, msi_address, msi_data, last_status, has_loopback, is_coalesced, is_in_batch,
           is_batch_counted, doorbells, coalesced_writes, coalesced_sum, coalesced_returns] = state;
    coder(scratch, irq_levels, msi_address, msi_data, last_status, has_loopback, is_coalesced, is_in_batch,
          is_batch_counted, doorbells, coalesced_writes, coalesced_sum, coalesced_returns);
}

template <typename Coder>
void fields(Coder& coder, coded::As<TestDeviceState::Message> auto& message) {
    auto& [address, data] = message;
    coder(address, data);
}

template <typename Coder>
void fields(Coder& coder, coded::As<TestDeviceState> auto& state) {
    auto& [device, train, loopback, train_left] = state;
    coder(device, train, loopback, train_left);
}

template <typename Coder>
void fields(Coder& coder, coded::As<PlatformState> auto& state) {
    auto& [cmos, uart, debug, reports, endings, absent_ports, test_device] = state;
    coder(cmos, uart, debug, reports, endings, absent_ports, test_device);
}

}  // namespace mayfly
