// SPDX-License-Identifier: Apache-2.0
// Pic8259: a PC's pair of 8259A interrupt controllers, for machines whose interrupt controller is not in KVM.
//
// As in a PC's chipset: the second is cascaded on the first's input 2; whether an input is edge- or
// level-triggered is set by ELCR, and ICW1's LTIM and ICW3 are ignored; an edge is latched, so a pulse that
// is over before the processor looks is not lost. The cascade input is latched too: a request that the
// second withdraws ends as spurious interrupt 15, one that the first withdraws as spurious 7.
// All modes of the data sheet are modelled, with AEOI, rotation, special mask, special fully nested mode and
// polling, except MCS-80 vectors and buffered mode (which changes pins only).
//
// Thread: any, under the device's bus lock; set_irq(), has_interrupt() and acknowledge() as well. The caller
// takes it by Bus::lock(), also while it holds another device's: this device calls nobody but its INTR line.
// Spec: Intel 8259A data sheet (231468), "Interrupt Sequence", "Operation Command Words (OCWs)".
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "devices/io/io_device.h"
#include "devices/io/irq_line.h"
#include "devices/platform/pic8259_spec.h"
#include "vmm/error/ints.h"

namespace mayfly {

class Pic8259 final : public IoDevice {
  public:
    // Map two bytes each: port 0x20 with offset base kMasterOffset, 0xa0 with kSlaveOffset, and 0x4d0 with
    // kElcrOffset.
    static constexpr u64 kMasterOffset = 0;
    static constexpr u64 kSlaveOffset = 2;
    static constexpr u64 kElcrOffset = 4;
    static constexpr u64 kBlockBytes = 2;

    /// Which word of the initialisation sequence comes next.
    enum class Expect : u8 { Nothing, Icw2, Icw3, Icw4 };

    struct Chip {
        u8 lines = 0;    // input levels
        u8 latched = 0;  // edges seen and not yet acknowledged
        u8 imr = 0;
        u8 isr = 0;
        u8 elcr = 0;
        u8 vector_base = 0;
        u8 lowest_priority = 7;
        Expect expect = Expect::Nothing;
        bool needs_icw3 = false;
        bool needs_icw4 = false;
        bool auto_eoi = false;
        bool rotate_on_auto_eoi = false;
        bool special_mask = false;
        bool special_fully_nested = false;
        bool reads_isr = false;
        bool polls = false;
    };

    struct State {
        Chip master;
        Chip slave;
        bool intr_level = false;
    };

    /// `intr` leads to the processor and outlives the device.
    explicit Pic8259(IrqLine& intr);

    [[nodiscard]] std::string_view name() const override { return "pic8259"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    /// Drives input `line`, 0-15; 2 is the cascade, and lines from 16 on do not exist: both are ignored.
    void set_irq(unsigned line, bool is_high);
    /// The level of INTR.
    [[nodiscard]] bool has_interrupt() const { return state_.intr_level; }
    /// The processor's acknowledge cycle: returns the vector. With nothing to acknowledge, a spurious one.
    [[nodiscard]] u8 acknowledge();

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u8 read_port(u64 offset);
    void write_port(u64 offset, u8 value);
    [[nodiscard]] u8 poll(Chip& chip);
    void update_intr();

    State state_;
    IrqLine& intr_;
};

}  // namespace mayfly
