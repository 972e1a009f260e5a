// SPDX-License-Identifier: Apache-2.0
// Uart16550: the PC's serial port, a PC16550D with its FIFOs. It does not know terminals or file descriptors.
//
// The model omits, without any driver noticing:
// - Time. A character leaves the moment it is written, so THRE and TEMT always read 1; the baud rate is
//   stored and has no effect. The character timeout indication, on the chip four character times after
//   the last character, comes at once when the FIFO holds less than its trigger level.
// - Overruns and line errors from outside. Input is flow-controlled: receive() takes what fits, and the
//   host keeps the rest. OE exists in loopback only. The break bit of LCR is stored, no more.
//
// Input that arrives before the driver is ready would be lost, because drivers clear the FIFOs when they open
// the port. So the receiver takes nothing before the driver shows that it listens: by setting ERBFI, or by
// reading LSR twice without another access in between, as a loop that polls DR does. (Output routines read
// LSR once per character; Linux's open reads LSR and RBR once each to clear them.)
//
// Deviation: entering FIFO mode keeps a received character, where the data sheet clears it. Linux sets ERBFI
// first and enables the FIFOs after, and would lose the first character of piped input.
//
// Thread: any, under the device's bus lock.
// Spec: PC16550D §8.0 "Registers".
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "devices/io/byte_sink.h"
#include "devices/io/io_device.h"
#include "devices/io/irq_line.h"
#include "devices/uart/uart16550_spec.h"
#include "vmm/error/ints.h"

namespace mayfly {

/// The far end of the serial line. Called with the UART's bus lock held; must not call receive() from inside.
class SerialHost : public ByteSink {
  public:
    /// The guest listens and the receiver is empty: a good moment to call receive(). Called when the guest
    /// begins to listen, and whenever the receiver runs empty afterwards.
    virtual void on_input_wanted() = 0;
};

class Uart16550 final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = uart16550::kRegisters;

    struct State {
        u8 ier = 0;
        u8 fcr = 0;
        u8 lcr = 0;
        // Deviation: the chip resets OUT2 to off, and firmware then opens the interrupt gate. This machine
        // has no firmware, and guests that know only QEMU or Firecracker, which leave the gate open, never
        // touch MCR.
        u8 mcr = uart16550::kOut2;
        u8 scr = 0;
        // The chip leaves the divisor undefined; 1 is 115200 baud, and a guest that divides by it survives.
        u8 dll = 1;
        u8 dlm = 0;
        u8 line_errors = 0;         // LSR bits 1-4, cleared by reading LSR
        u8 modem_deltas = 0;        // MSR bits 0-3, cleared by reading MSR
        bool thre_pending = false;  // the THRE interrupt; not LSR.THRE, which always reads 1
        bool is_listening = false;
        bool last_access_read_lsr = false;
        bool irq_level = false;
        u8 fifo_head = 0;
        u8 fifo_count = 0;
        std::array<u8, uart16550::kFifoDepth> fifo{};
        u64 bytes_in = 0;   // from the host, since the machine started
        u64 bytes_out = 0;  // to the host, since the machine started
    };

    /// Both outlive the device.
    Uart16550(IrqLine& irq, SerialHost& host);

    [[nodiscard]] std::string_view name() const override { return "uart16550"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    /// Takes as many of `bytes` as the receiver has room for and returns how many; 0 unless wants_input().
    [[nodiscard]] std::size_t receive(std::span<const u8> bytes);
    /// Whether receive() would take at least one byte.
    [[nodiscard]] bool wants_input() const;

    [[nodiscard]] const State& state() const { return state_; }
    /// Drives the line anew, and asks for input where the receiver is empty. False: no guest can have left
    /// the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u8 read_register(u64 offset);
    void write_register(u64 offset, u8 value);
    [[nodiscard]] u8 read_rbr();
    [[nodiscard]] u8 read_iir();
    [[nodiscard]] u8 read_lsr();
    [[nodiscard]] u8 read_msr();
    void write_thr(u8 value);
    void write_ier(u8 value);
    void write_fcr(u8 value);
    void write_mcr(u8 value);

    void listen();
    void push(u8 byte);
    void clear_receiver();
    void ask_for_input();
    [[nodiscard]] bool has_fifos() const { return (state_.fcr & uart16550::kFcrEnable) != 0; }
    [[nodiscard]] bool is_looped() const { return (state_.mcr & uart16550::kLoop) != 0; }
    [[nodiscard]] u8 capacity() const { return has_fifos() ? uart16550::kFifoDepth : u8{1}; }
    [[nodiscard]] u8 modem_lines() const;
    [[nodiscard]] u8 interrupt_id() const;
    void update_irq();

    State state_;
    IrqLine& irq_;
    SerialHost& host_;
};

}  // namespace mayfly
