// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/pic8259.h"

#include "devices/io/bytewise.h"

namespace mayfly {

using namespace pic8259;

namespace {

using Chip = Pic8259::Chip;
using Expect = Pic8259::Expect;

[[nodiscard]] constexpr u8 bit(unsigned level) { return static_cast<u8>(1U << level); }

/// The interrupt request register: latched edges, and level-triggered lines as they are now.
[[nodiscard]] u8 irr(const Chip& chip) {
    return static_cast<u8>((chip.latched & ~chip.elcr) | (chip.lines & chip.elcr));
}

/// 0 is the highest priority. Data sheet, "Automatic Rotation (Equal Priority Devices)".
[[nodiscard]] unsigned rank(const Chip& chip, unsigned level) {
    return (level - chip.lowest_priority - 1U) & 7U;
}

/// The level of highest priority among `levels`.
[[nodiscard]] std::optional<unsigned> highest(const Chip& chip, u8 levels) {
    for (unsigned i = 1; i <= kLevels; ++i) {
        const unsigned level = (chip.lowest_priority + i) & 7U;
        if ((levels & bit(level)) != 0) return level;
    }
    return std::nullopt;
}

/// The request that the chip would have acknowledged now. Data sheet, "Fully Nested Mode".
[[nodiscard]] std::optional<unsigned> pending(const Chip& chip) {
    // Between ICW1 and the last initialization word the chip cannot give a vector.
    if (chip.expect != Expect::Nothing) return std::nullopt;
    const std::optional<unsigned> request = highest(chip, irr(chip) & static_cast<u8>(~chip.imr));
    if (!request) return std::nullopt;
    u8 blocking = chip.isr;
    // Data sheet, "Special Mask Mode": a masked level in service blocks nobody.
    if (chip.special_mask) blocking &= static_cast<u8>(~chip.imr);
    // Data sheet, "The Special Fully Nest Mode": a slave in service may interrupt again for a higher request.
    if (chip.special_fully_nested) blocking &= static_cast<u8>(~bit(kCascadeLevel));
    const std::optional<unsigned> in_service = highest(chip, blocking);
    if (in_service && rank(chip, *in_service) <= rank(chip, *request)) return std::nullopt;
    return request;
}

void set_line(Chip& chip, unsigned level, bool is_high) {
    if (is_high && (chip.lines & bit(level)) == 0) chip.latched |= bit(level);
    chip.lines = static_cast<u8>(is_high ? chip.lines | bit(level) : chip.lines & ~bit(level));
}

void begin_service(Chip& chip, unsigned level) {
    chip.latched &= static_cast<u8>(~bit(level));
    if (!chip.auto_eoi) {
        chip.isr |= bit(level);
    } else if (chip.rotate_on_auto_eoi) {
        chip.lowest_priority = static_cast<u8>(level);
    }
}

void write_icw1(Chip& chip, u8 value) {
    // Data sheet, "Initialization Command Words 1 and 2 (ICW1, ICW2)": the edge sense circuit and the mask
    // register are cleared, input 7 gets the lowest priority, special mask mode is cleared, status read is
    // set to IRR. Without IC4 all functions of ICW4 are off. Input lines and ELCR are outside the chip.
    Chip fresh;
    fresh.lines = chip.lines;
    fresh.elcr = chip.elcr;
    fresh.vector_base = chip.vector_base;
    fresh.expect = Expect::Icw2;
    fresh.needs_icw3 = (value & kIcw1Single) == 0;
    fresh.needs_icw4 = (value & kIcw1Ic4) != 0;
    chip = fresh;
}

void write_ocw2(Chip& chip, u8 value) {
    const unsigned level = value & kOcw2LevelMask;
    const auto end_of_interrupt = [&chip](bool rotate) {
        // Data sheet, "End of Interrupt (EOI)": a masked level "will not be cleared by a non-specific EOI if
        // the 8259A is in the Special Mask Mode".
        const u8 candidates = chip.special_mask ? chip.isr & static_cast<u8>(~chip.imr) : chip.isr;
        const std::optional<unsigned> served = highest(chip, candidates);
        if (!served) return;
        chip.isr &= static_cast<u8>(~bit(*served));
        if (rotate) chip.lowest_priority = static_cast<u8>(*served);
    };
    switch (value >> kOcw2CommandShift) {
        case kOcw2RotateAutoEoiClear: chip.rotate_on_auto_eoi = false; break;
        case kOcw2RotateAutoEoiSet: chip.rotate_on_auto_eoi = true; break;
        case kOcw2NonSpecificEoi: end_of_interrupt(false); break;
        case kOcw2RotateNonSpecificEoi: end_of_interrupt(true); break;
        case kOcw2SpecificEoi: chip.isr &= static_cast<u8>(~bit(level)); break;
        case kOcw2RotateSpecificEoi:
            chip.isr &= static_cast<u8>(~bit(level));
            chip.lowest_priority = static_cast<u8>(level);
            break;
        case kOcw2SetPriority: chip.lowest_priority = static_cast<u8>(level); break;
        default: break;  // 2: no operation
    }
}

void write_ocw3(Chip& chip, u8 value) {
    if ((value & kOcw3Esmm) != 0) chip.special_mask = (value & kOcw3Smm) != 0;
    if ((value & kOcw3Poll) != 0) chip.polls = true;
    if ((value & kOcw3Rr) != 0) chip.reads_isr = (value & kOcw3Ris) != 0;
}

void write_command(Chip& chip, u8 value) {
    if ((value & kIcw1) != 0) {
        write_icw1(chip, value);
    } else if ((value & kOcw3) != 0) {
        write_ocw3(chip, value);
    } else {
        write_ocw2(chip, value);
    }
}

void write_data(Chip& chip, u8 value) {
    const Expect after_icw3 = chip.needs_icw4 ? Expect::Icw4 : Expect::Nothing;
    switch (chip.expect) {
        case Expect::Nothing: chip.imr = value; break;
        case Expect::Icw2:
            chip.vector_base = value & kIcw2VectorMask;
            chip.expect = chip.needs_icw3 ? Expect::Icw3 : after_icw3;
            break;
        case Expect::Icw3: chip.expect = after_icw3; break;
        case Expect::Icw4:
            chip.auto_eoi = (value & kIcw4AutoEoi) != 0;
            chip.special_fully_nested = (value & kIcw4FullyNested) != 0;
            chip.expect = Expect::Nothing;
            break;
    }
}

[[nodiscard]] bool can_be(const Chip& chip, u8 elcr_writable) {
    return (chip.elcr & ~elcr_writable) == 0 && (chip.vector_base & ~kIcw2VectorMask) == 0 &&
           chip.lowest_priority < kLevels && chip.expect <= Expect::Icw4;
}

}  // namespace

Pic8259::Pic8259(IrqLine& intr) : intr_(intr) { reset(); }

void Pic8259::reset() {
    // The lines belong to other devices, which lower them in their own reset.
    const u8 master_lines = state_.master.lines;
    const u8 slave_lines = state_.slave.lines;
    state_ = State{};
    state_.master.lines = master_lines;
    state_.slave.lines = slave_lines;
    intr_.set_level(false);
}

u64 Pic8259::io_read(IoAccess at) {
    return read_bytewise(at, [this](u64 offset) { return read_port(offset); });
}

void Pic8259::io_write(IoAccess at, u64 value) {
    write_bytewise(at, value, [this](u64 offset, u8 byte) { write_port(offset, byte); });
}

u8 Pic8259::read_port(u64 offset) {
    if (offset == kElcrOffset) return state_.master.elcr;
    if (offset == kElcrOffset + 1) return state_.slave.elcr;
    if (offset > kElcrOffset) return 0xff;
    Chip& chip = offset < kSlaveOffset ? state_.master : state_.slave;
    if (chip.polls) return poll(chip);
    if (offset % 2 != 0) return chip.imr;
    return chip.reads_isr ? chip.isr : irr(chip);
}

void Pic8259::write_port(u64 offset, u8 value) {
    if (offset == kElcrOffset) {
        state_.master.elcr = value & kElcrWritable[0];
    } else if (offset == kElcrOffset + 1) {
        state_.slave.elcr = value & kElcrWritable[1];
    } else if (offset < kElcrOffset) {
        Chip& chip = offset < kSlaveOffset ? state_.master : state_.slave;
        if (offset % 2 == 0) {
            write_command(chip, value);
        } else {
            write_data(chip, value);
        }
    }
    update_intr();
}

void Pic8259::set_irq(unsigned line, bool is_high) {
    if (line >= 2 * kLevels || line == kCascadeLevel) return;
    set_line(line < kLevels ? state_.master : state_.slave, line % kLevels, is_high);
    update_intr();
}

u8 Pic8259::acknowledge() {
    Chip& master = state_.master;
    Chip& slave = state_.slave;
    const std::optional<unsigned> level = pending(master);
    u8 vector = static_cast<u8>(master.vector_base + kSpuriousLevel);
    if (level) {
        begin_service(master, *level);
        vector = static_cast<u8>(master.vector_base + *level);
    }
    if (level == kCascadeLevel) {
        // Data sheet, "Interrupt Sequence": with no request left, the chip "will issue an interrupt level 7"
        // and sets no bit in its ISR.
        const std::optional<unsigned> slave_level = pending(slave);
        if (slave_level) begin_service(slave, *slave_level);
        vector = static_cast<u8>(slave.vector_base + slave_level.value_or(kSpuriousLevel));
    }
    update_intr();
    return vector;
}

u8 Pic8259::poll(Chip& chip) {
    // Data sheet, "Poll Command": the next read is taken for an acknowledge.
    chip.polls = false;
    const std::optional<unsigned> level = pending(chip);
    if (level) begin_service(chip, *level);
    // A driver that polls the second chip directly has taken the request that the first one holds.
    if (&chip == &state_.slave) state_.master.latched &= static_cast<u8>(~bit(kCascadeLevel));
    update_intr();
    return level ? static_cast<u8>(kPollInterrupt | *level) : u8{0};
}

void Pic8259::update_intr() {
    const bool slave_requests = pending(state_.slave).has_value();
    // The output falls during each acknowledge, so a further request is a new edge.
    if (slave_requests) state_.master.latched |= bit(kCascadeLevel);
    const bool level = pending(state_.master).has_value();
    if (level == state_.intr_level) return;
    state_.intr_level = level;
    intr_.set_level(level);
}

bool Pic8259::restore(const State& state) {
    if (!can_be(state.master, kElcrWritable[0]) || !can_be(state.slave, kElcrWritable[1])) return false;
    const bool level = state_.intr_level;
    state_ = state;
    state_.intr_level = level;
    update_intr();
    return true;
}

}  // namespace mayfly
