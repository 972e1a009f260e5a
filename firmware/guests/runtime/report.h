// SPDX-License-Identifier: Apache-2.0
// A guest's report: lines on the serial port, checks that print "ok NAME" or "FAIL NAME: ...".
//
// Every character is an exit on hosts that interpret string I/O: names are short.
#pragma once

#include "firmware/guests/runtime/cpu.h"

namespace guest {

/// A string literal with its length; a string_view that needs no hosted library.
struct Text {
    const char* data;
    u64 size_bytes;

    template <u64 kSize>
    // NOLINTNEXTLINE(google-explicit-constructor): a literal is its text
    constexpr Text(const char (&literal)[kSize]) : data(literal), size_bytes(kSize - 1) {}
    constexpr Text(const char* first, u64 size) : data(first), size_bytes(size) {}
};

/// `rep outsb` to the serial port. The port is never full: mayfly's UART takes every byte at once.
void print(Text text);

/// A line under construction; characters beyond 128 are dropped.
class Line final {
  public:
    Line& add(Text text);
    Line& add_decimal(u64 value);
    Line& add_hex(u64 value);
    /// Spaces up to a column, for tables.
    Line& pad_to(u64 column);
    [[nodiscard]] Text text() const { return {text_, used_}; }
    /// Adds the newline and prints.
    void print_line();

  private:
    static constexpr u64 kCapacity = 128;
    char text_[kCapacity + 1];
    u64 used_ = 0;
};

/// Prints "ok NAME".
void pass(Text name);
/// Prints "FAIL TEXT" and counts a failure.
void fail(Text text);
/// Prints "ok NAME" when `good`, else "FAIL NAME".
void expect(Text name, bool good);
/// Prints "ok NAME" when equal, else "FAIL NAME: expected A, got B".
void expect_equal(Text name, u64 expected, u64 got);
/// Prints "ok NAME" when least <= got <= most, else "FAIL NAME: expected A to B, got C".
void expect_between(Text name, u64 least, u64 most, u64 got);

/// Failures so far, at most 100: the exit code of a probe.
[[nodiscard]] u32 failure_count();

}  // namespace guest

/// Each guest defines this; what it returns is the exit code.
extern "C" guest::u32 guest_main();
