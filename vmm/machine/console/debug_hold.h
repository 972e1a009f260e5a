// SPDX-License-Identifier: Apache-2.0
// DebugHold: what a guest wrote to the debug console, until it is known whether the serial port says the
// same. Many kernels print everything to both.
//
// The serial port's bytes pass at once, and are remembered. A line of the debug console's that they have, in
// order and whole, is dropped; carriage returns are not compared, as the serial port alone needs them. Else
// it is shown before the line that the serial port prints instead, or after that where both begin alike; or
// when it has waited for too long, or for too much. Only then may it be in the middle of a line.
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
    /// What is remembered of a serial port before the debug console's first byte: a line of either.
    static constexpr std::size_t kHistoryMax = 512;

    /// Nanoseconds of a clock that never goes back.
    using Clock = u64 (*)();

    /// `shown` outlives this object.
    DebugHold(ByteSink& shown, Clock clock) : shown_(shown), clock_(clock) {}

    /// What the guest writes to the serial port: shown, in its place among what is held.
    void put_serial(u8 byte);
    void put_debug(u8 byte);

    /// Since when something waits. Nothing: nothing does.
    [[nodiscard]] std::optional<u64> held_since_ns() const;
    /// Shows what is held, less its beginning where the serial port has said that: nobody waits any longer.
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
