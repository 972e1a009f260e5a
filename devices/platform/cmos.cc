// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/cmos.h"

#include <algorithm>
#include <chrono>

#include "devices/io/bytewise.h"

namespace mayfly {

using namespace cmos;

namespace {

/// The cells that make up the time; writing one of them sets the clock. The day of the week is not among
/// them: it follows from the date.
[[nodiscard]] bool is_time_cell(u8 index) {
    return index == kSeconds || index == kMinutes || index == kHours || index == kDayOfMonth ||
           index == kMonth || index == kYear || index == kCentury;
}

}  // namespace

Cmos::Cmos(Memory memory, const WallClock& clock) : memory_(memory), clock_(clock) { reset(); }

void Cmos::reset() {
    // The time that the guest has set, which a battery would keep, is lost too: a reset ends this machine.
    state_ = State{};
    state_.cells[kRegisterA] = kRegisterAReset;
    state_.cells[kRegisterB] = kHours24;
    state_.last_seen_second = now();
    fill_memory_cells();
}

void Cmos::fill_memory_cells() {
    const auto put = [this](u8 first, unsigned bytes, u64 value) {
        for (unsigned i = 0; i < bytes; ++i) state_.cells[first + i] = static_cast<u8>(value >> (8 * i));
    };
    const u64 below = memory_.below_4g_bytes;
    const u64 extended_kib = below > MiB(1) ? std::min<u64>((below - MiB(1)) / KiB(1), 0xffff) : 0;
    const u64 above_16m = below > MiB(16) ? std::min<u64>((below - MiB(16)) / KiB(64), 0xffff) : 0;
    put(kBaseMemoryLow, 2, std::min<u64>(below / KiB(1), 640));
    put(kExtendedMemoryLow, 2, extended_kib);
    put(kExtendedMemory2Low, 2, extended_kib);
    put(kMemoryAbove16MLow, 2, above_16m);
    put(kMemoryAbove4GLow, 3, std::min<u64>(memory_.above_4g_bytes / KiB(64), 0xff'ffff));
}

u64 Cmos::io_read(IoAccess at) {
    // The index register is write-only on a PC.
    return read_bytewise(at, [this](u64 offset) { return offset == 1 ? read_cell() : u8{0xff}; });
}

void Cmos::io_write(IoAccess at, u64 value) {
    write_bytewise(at, value, [this](u64 offset, u8 byte) {
        if (offset == 0) state_.index = byte & (kCells - 1);
        if (offset == 1) write_cell(byte);
    });
}

u8 Cmos::read_cell() {
    if (state_.index == kRegisterD) return kValid;
    if (state_.index == kRegisterC) {
        // The data sheet's "Register C": reading clears every flag. While SET is 1 the clock does not update.
        if (is_frozen() || now() == state_.last_seen_second) return 0;
        state_.last_seen_second = now();
        return kUpdateEnded;
    }
    const bool is_time = is_time_cell(state_.index) || state_.index == kDayOfWeek;
    if (is_time && !is_frozen()) time_to_cells(now());
    return state_.cells[state_.index];
}

void Cmos::write_cell(u8 value) {
    switch (state_.index) {
        case kRegisterA: state_.cells[kRegisterA] = value & static_cast<u8>(~kUpdateInProgress); return;
        case kRegisterB: write_register_b(value); return;
        case kRegisterC:
        case kRegisterD: return;
        default: break;
    }
    if (!is_time_cell(state_.index) || is_frozen()) {
        state_.cells[state_.index] = value;
        return;
    }
    // A driver may set the time without stopping the clock: cells that it did not write go on from now.
    time_to_cells(now());
    state_.cells[state_.index] = value;
    state_.offset_seconds = cells_to_time() - clock_.seconds_since_epoch();
}

void Cmos::write_register_b(u8 value) {
    const bool was_frozen = is_frozen();
    const bool will_be_frozen = (value & kSet) != 0;
    // As on the chip, the cells are bytes: those frozen here by the old data mode, and those that the driver
    // wrote, mean what register B's new mode says (data sheet, "Register B", bits DM and 24/12).
    if (!was_frozen && will_be_frozen) {
        time_to_cells(now());
        state_.cells[kRegisterB] = value;
        return;
    }
    state_.cells[kRegisterB] = value;
    if (was_frozen && !will_be_frozen) {
        state_.offset_seconds = cells_to_time() - clock_.seconds_since_epoch();
        state_.last_seen_second = now();
    }
}

void Cmos::time_to_cells(i64 seconds) {
    const std::chrono::sys_seconds time{std::chrono::seconds(seconds)};
    const auto day = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(day);
    const i64 second_of_day = (time - day).count();
    const int hour = static_cast<int>(second_of_day / 3600);
    const bool is_24 = (state_.cells[kRegisterB] & kHours24) != 0;
    const u8 hour_cell =
        is_24 ? encode(hour)
              : static_cast<u8>(encode(hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? kPm : 0));
    state_.cells[kSeconds] = encode(static_cast<int>(second_of_day % 60));
    state_.cells[kMinutes] = encode(static_cast<int>(second_of_day / 60 % 60));
    state_.cells[kHours] = hour_cell;
    state_.cells[kDayOfWeek] = encode(static_cast<int>(std::chrono::weekday(day).c_encoding()) + 1);
    state_.cells[kDayOfMonth] = encode(static_cast<int>(unsigned{date.day()}));
    state_.cells[kMonth] = encode(static_cast<int>(unsigned{date.month()}));
    const int year = int{date.year()};
    state_.cells[kYear] = encode((year % 100 + 100) % 100);
    state_.cells[kCentury] = encode((year / 100 % 100 + 100) % 100);
}

i64 Cmos::cells_to_time() const {
    const bool is_24 = (state_.cells[kRegisterB] & kHours24) != 0;
    const u8 hour_cell = state_.cells[kHours];
    i64 hour = decode(hour_cell);
    if (!is_24) {
        hour = decode(hour_cell & static_cast<u8>(~kPm)) % 12 + ((hour_cell & kPm) != 0 ? 12 : 0);
    }
    const int year = decode(state_.cells[kCentury]) * 100 + decode(state_.cells[kYear]);
    // Cells may lie outside the range of what they stand for: the excess is carried over.
    const auto month = std::chrono::year(year) / std::chrono::January +
                       std::chrono::months(decode(state_.cells[kMonth]) - 1);
    const auto day =
        std::chrono::sys_days(month / 1) + std::chrono::days(decode(state_.cells[kDayOfMonth]) - 1);
    return std::chrono::sys_seconds(day).time_since_epoch().count() + hour * 3600 +
           i64{decode(state_.cells[kMinutes])} * 60 + decode(state_.cells[kSeconds]);
}

u8 Cmos::encode(int value) const {
    if ((state_.cells[kRegisterB] & kDataModeBinary) != 0) return static_cast<u8>(value);
    return static_cast<u8>((value / 10) << 4 | value % 10);
}

int Cmos::decode(u8 cell) const {
    if ((state_.cells[kRegisterB] & kDataModeBinary) != 0) return cell;
    return (cell >> 4) * 10 + (cell & 0x0f);
}

bool Cmos::restore(const State& state) {
    // A margin around the years that the cells can express.
    constexpr i64 kOffsetMax = i64{1} << 41;
    if (state.index >= kCells || (state.cells[kRegisterA] & kUpdateInProgress) != 0) return false;
    if (state.offset_seconds > kOffsetMax || state.offset_seconds < -kOffsetMax) return false;
    state_ = state;
    return true;
}

}  // namespace mayfly
