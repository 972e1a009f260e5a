// SPDX-License-Identifier: Apache-2.0
// Cmos: the PC's real-time clock and its battery-backed RAM, ports 0x70 and 0x71.
//
// The time is the injected clock's plus what the guest has set. Updates take no time: UIP always reads 0, so
// loops that wait for it end at once. No interrupt line: periodic, alarm and update interrupts are never
// raised, alarms are only stored; UF in register C does tell that a second has passed since C was last read.
// The NMI mask, bit 7 of the index, is ignored.
//
// Thread: any, under the device's bus lock.
// Spec: MC146818A data sheet (1984), "Time, calendar and alarm locations", "Registers".
#pragma once

#include <array>
#include <string_view>

#include "devices/io/io_device.h"
#include "devices/io/wall_clock.h"
#include "devices/platform/cmos_spec.h"
#include "vmm/error/ints.h"

namespace mayfly {

class Cmos final : public IoDevice {
  public:
    static constexpr u64 kSizeBytes = 2;

    /// The content of the memory size cells.
    struct Memory {
        u64 below_4g_bytes;  ///< from address 0 to the hole
        u64 above_4g_bytes;
    };

    struct State {
        u8 index = 0;
        i64 offset_seconds = 0;    // guest's time minus the clock's
        i64 last_seen_second = 0;  // of the guest's time, when register C was last read
        // Registers A, B and the RAM; the time cells hold the time only while SET freezes it.
        std::array<u8, cmos::kCells> cells{};
    };

    /// `clock` outlives the device.
    Cmos(Memory memory, const WallClock& clock);

    [[nodiscard]] std::string_view name() const override { return "cmos"; }
    [[nodiscard]] u64 io_read(IoAccess at) override;
    void io_write(IoAccess at, u64 value) override;
    void reset() override;

    [[nodiscard]] const State& state() const { return state_; }
    /// False: no guest can have left the device in this state; then nothing has changed.
    [[nodiscard]] bool restore(const State& state);

  private:
    [[nodiscard]] u8 read_cell();
    void write_cell(u8 value);
    void write_register_b(u8 value);
    void fill_memory_cells();
    [[nodiscard]] i64 now() const { return clock_.seconds_since_epoch() + state_.offset_seconds; }
    [[nodiscard]] bool is_frozen() const { return (state_.cells[cmos::kRegisterB] & cmos::kSet) != 0; }
    void time_to_cells(i64 seconds);
    [[nodiscard]] i64 cells_to_time() const;
    [[nodiscard]] u8 encode(int value) const;
    [[nodiscard]] int decode(u8 cell) const;

    State state_;
    Memory memory_;
    const WallClock& clock_;
};

}  // namespace mayfly
