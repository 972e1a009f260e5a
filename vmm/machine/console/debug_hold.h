// SPDX-License-Identifier: Apache-2.0
// DebugHold: holds a guest's debug console output until it is known whether the serial port prints the same.
// Many kernels print everything to both.
//
// The serial port's bytes pass at once, and are remembered. A debug console line that they contain, in order
// and whole, is dropped; carriage returns are not compared, as only the serial port needs them. Any other
// line is shown before the line that the serial port prints instead, or after it where both begin alike. A
// line is also shown when it has waited too long, or when too much waits; only then may it appear in the
// middle of another line.
//
// Thread: any, one at a time.
#pragma once

#include <optional>
#include <string>

#include "devices/io/byte_sink.h"

namespace mayfly {

class DebugHold {
  public:
    static constexpr u64 kHoldNs = 1'000'000'000;
    static constexpr std::size_t kHeldMax = KiB(64);
    /// Serial output remembered before the debug console's first byte: a line of either.
    static constexpr std::size_t kHistoryMax = 512;

    /// Nanoseconds of a clock that never goes back.
    using Clock = u64 (*)();

    /// `shown` outlives this object.
    DebugHold(ByteSink& shown, Clock clock) : shown_(shown), clock_(clock) {}

    /// The guest's serial output: shown, in order with the held output.
    void put_serial(u8 byte);
    void put_debug(u8 byte);

    /// Since when output waits; empty when none does.
    [[nodiscard]] std::optional<u64> held_since_ns() const;
    /// Shows the held output, without a beginning that the serial port has printed: the wait is over.
    void give_up();

  private:
    static constexpr std::size_t kNowhere = std::string::npos;

    void compare();
    void move_on();
    void forget_the_old();
    void show();

    ByteSink& shown_;
    Clock clock_;
    bool has_begun_ = false;
    std::string held_;     // as it was written
    std::string printed_;  // the serial port's, without carriage returns, after the last that was compared
    u64 since_ns_ = 0;     // of held_
    u64 printed_ns_ = 0;   // of the last whole line in printed_
    bool is_line_begun_ = false;  // of the serial port's
    // The comparison: printed_ from place_ on has the first agreed_ bytes of held_.
    std::size_t place_ = 0;
    std::size_t agreed_ = 0;   // in held_
    std::size_t matched_ = 0;  // the same in printed_
    std::size_t joined_ = 0;   // where printed_ ended when the hold began: another place to compare from
};

}  // namespace mayfly
