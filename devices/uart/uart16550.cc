// SPDX-License-Identifier: Apache-2.0
#include "devices/uart/uart16550.h"

#include "devices/io/bytewise.h"

namespace mayfly {

using namespace uart16550;

Uart16550::Uart16550(IrqLine& irq, SerialHost& host) : irq_(irq), host_(host) { reset(); }

void Uart16550::reset() {
    const u64 bytes_in = state_.bytes_in;
    const u64 bytes_out = state_.bytes_out;
    state_ = State{};
    state_.bytes_in = bytes_in;
    state_.bytes_out = bytes_out;
    irq_.set_level(false);
}

u64 Uart16550::io_read(IoAccess at) {
    return read_bytewise(at, [this](u64 offset) { return read_register(offset); });
}

void Uart16550::io_write(IoAccess at, u64 value) {
    write_bytewise(at, value, [this](u64 offset, u8 byte) { write_register(offset, byte); });
}

u8 Uart16550::read_register(u64 offset) {
    if (offset == kLsr) return read_lsr();
    state_.last_access_read_lsr = false;
    const bool is_divisor = (state_.lcr & kDlab) != 0;
    switch (offset) {
        case kRbrThrDll: return is_divisor ? state_.dll : read_rbr();
        case kIerDlm: return is_divisor ? state_.dlm : state_.ier;
        case kIirFcr: return read_iir();
        case kLcr: return state_.lcr;
        case kMcr: return state_.mcr;
        case kMsr: return read_msr();
        case kScr: return state_.scr;
        default: return 0xff;
    }
}

void Uart16550::write_register(u64 offset, u8 value) {
    state_.last_access_read_lsr = false;
    const bool is_divisor = (state_.lcr & kDlab) != 0;
    switch (offset) {
        case kRbrThrDll:
            if (is_divisor) {
                state_.dll = value;
            } else {
                write_thr(value);
            }
            break;
        case kIerDlm:
            if (is_divisor) {
                state_.dlm = value;
            } else {
                write_ier(value);
            }
            break;
        case kIirFcr: write_fcr(value); break;
        case kLcr: state_.lcr = value; break;
        case kMcr: write_mcr(value); break;
        case kScr: state_.scr = value; break;
        default: break;  // LSR and MSR: writes are for factory tests
    }
}

u8 Uart16550::read_rbr() {
    if (state_.fifo_count == 0) return 0;
    const u8 byte = state_.fifo[state_.fifo_head];
    state_.fifo_head = static_cast<u8>((state_.fifo_head + 1) % kFifoDepth);
    --state_.fifo_count;
    update_irq();
    if (state_.fifo_count == 0) ask_for_input();
    return byte;
}

u8 Uart16550::read_iir() {
    const u8 id = interrupt_id();
    // PC16550D §8.5 "Interrupt Identification Register", table IV: reading IIR resets the THRE interrupt
    // "if source of interrupt"; a source of higher priority leaves it pending.
    if (id == kIirThrEmpty) {
        state_.thre_pending = false;
        update_irq();
    }
    return static_cast<u8>(id | (has_fifos() ? kIirFifosEnabled : 0));
}

u8 Uart16550::read_lsr() {
    if (state_.last_access_read_lsr) listen();
    state_.last_access_read_lsr = true;
    const u8 value = static_cast<u8>(kThre | kTemt | state_.line_errors | (state_.fifo_count != 0 ? kDr : 0));
    state_.line_errors = 0;
    update_irq();
    return value;
}

u8 Uart16550::read_msr() {
    const u8 value = static_cast<u8>(modem_lines() | state_.modem_deltas);
    state_.modem_deltas = 0;
    update_irq();
    return value;
}

void Uart16550::write_thr(u8 value) {
    // The interrupt falls while the character is on its way: an edge-triggered controller must see a new edge
    // for each time that THR became empty.
    state_.thre_pending = false;
    update_irq();
    if (is_looped()) {
        push(value);
    } else {
        ++state_.bytes_out;
        host_.put(value);
    }
    state_.thre_pending = true;
    update_irq();
}

void Uart16550::write_ier(u8 value) {
    const u8 risen = static_cast<u8>(value & ~state_.ier);
    state_.ier = value & kIerMask;
    // Enabling ETBEI while THR is empty raises the interrupt at once: that is how drivers start to transmit.
    if ((risen & kEtbei) != 0) state_.thre_pending = true;
    update_irq();
    if ((risen & kErbfi) != 0) listen();
}

void Uart16550::write_fcr(u8 value) {
    const bool had_fifos = has_fifos();
    // PC16550D §8.4 "FIFO Control Register": bit 0 "must be a 1 when other FCR bits are written to or they
    // will not be programmed".
    const bool enable = (value & kFcrEnable) != 0;
    state_.fcr = enable ? value & kFcrStored : 0;
    if ((enable && (value & kFcrReceiverReset) != 0) || (had_fifos && !enable)) clear_receiver();
    update_irq();
}

void Uart16550::write_mcr(u8 value) {
    const u8 before = modem_lines();
    const bool was_looped = is_looped();
    state_.mcr = value & kMcrMask;
    const u8 after = modem_lines();
    const u8 changed = before ^ after;
    u8 deltas = static_cast<u8>((changed >> 4) & (kDcts | kDdsr | kDdcd));
    if ((before & ~after & kRi) != 0) deltas |= kTeri;  // the trailing edge only
    state_.modem_deltas |= deltas;
    update_irq();
    if (was_looped && !is_looped() && state_.fifo_count == 0) ask_for_input();
}

std::size_t Uart16550::receive(std::span<const u8> bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size() && wants_input()) {
        push(bytes[taken]);
        ++taken;
    }
    state_.bytes_in += taken;
    update_irq();
    return taken;
}

bool Uart16550::wants_input() const {
    return state_.is_listening && !is_looped() && state_.fifo_count < capacity();
}

void Uart16550::listen() {
    if (state_.is_listening) return;
    state_.is_listening = true;
    if (state_.fifo_count == 0) ask_for_input();
}

void Uart16550::push(u8 byte) {
    if (state_.fifo_count >= capacity()) {
        // PC16550D §8.3 "Line Status Register", bit 1: with FIFOs the new character is lost, without them it
        // replaces the one in RBR.
        state_.line_errors |= kOe;
        if (!has_fifos()) state_.fifo[state_.fifo_head] = byte;
        return;
    }
    state_.fifo[static_cast<u8>((state_.fifo_head + state_.fifo_count) % kFifoDepth)] = byte;
    ++state_.fifo_count;
}

void Uart16550::clear_receiver() {
    const bool was_empty = state_.fifo_count == 0;
    state_.fifo_count = 0;
    if (!was_empty) ask_for_input();
}

void Uart16550::ask_for_input() {
    if (wants_input()) host_.on_input_wanted();
}

u8 Uart16550::modem_lines() const {
    // Outside of loopback: a peer that is always present and ready.
    if (!is_looped()) return kCts | kDsr | kDcd;
    // PC16550D §8.7 "Modem Control Register", bit 4: the four outputs are connected to the four inputs.
    u8 lines = 0;
    if ((state_.mcr & kRts) != 0) lines |= kCts;
    if ((state_.mcr & kDtr) != 0) lines |= kDsr;
    if ((state_.mcr & kOut1) != 0) lines |= kRi;
    if ((state_.mcr & kOut2) != 0) lines |= kDcd;
    return lines;
}

u8 Uart16550::interrupt_id() const {
    if ((state_.ier & kElsi) != 0 && state_.line_errors != 0) return kIirLineStatus;
    if ((state_.ier & kErbfi) != 0 && state_.fifo_count != 0) {
        const u8 trigger = has_fifos() ? kTriggerLevels[state_.fcr >> kFcrTriggerShift] : u8{1};
        return state_.fifo_count >= trigger ? kIirReceivedData : kIirCharacterTimeout;
    }
    if ((state_.ier & kEtbei) != 0 && state_.thre_pending) return kIirThrEmpty;
    if ((state_.ier & kEdssi) != 0 && state_.modem_deltas != 0) return kIirModemStatus;
    return kIirNone;
}

void Uart16550::update_irq() {
    // On a PC the pin OUT2 opens the gate between INTR and the interrupt controller. In loopback the chip
    // holds its output pins inactive, so the gate is shut (PC16550D §8.7 "Modem Control Register", bit 4).
    const bool is_gate_open = (state_.mcr & kOut2) != 0 && !is_looped();
    const bool level = is_gate_open && interrupt_id() != kIirNone;
    if (level == state_.irq_level) return;
    state_.irq_level = level;
    irq_.set_level(level);
}

bool Uart16550::restore(const State& state) {
    if ((state.ier & ~kIerMask) != 0 || (state.mcr & ~kMcrMask) != 0 || (state.line_errors & ~kOe) != 0)
        return false;
    if ((state.modem_deltas & ~(kDcts | kDdsr | kTeri | kDdcd)) != 0) return false;
    const bool has_fifos = (state.fcr & kFcrEnable) != 0;
    if (has_fifos ? (state.fcr & ~kFcrStored) != 0 : state.fcr != 0) return false;
    if (state.fifo_head >= kFifoDepth || state.fifo_count > (has_fifos ? kFifoDepth : 1)) return false;
    const bool level = state_.irq_level;
    state_ = state;
    state_.irq_level = level;
    update_irq();
    if (state_.fifo_count == 0) ask_for_input();
    return true;
}

}  // namespace mayfly
