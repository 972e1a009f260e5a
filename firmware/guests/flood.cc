// SPDX-License-Identifier: Apache-2.0
// flood: `bytes=N` (64 KiB) of a pattern on the serial port, by single OUTs, or by REP OUTSB with
// `rep`. Byte i is a newline when i % 64 == 63, else 0x21 + i % 94. Nothing else is printed.
#include "firmware/guests/runtime/boot_info.h"

namespace guest {
namespace {

/// The pattern repeats after lcm(64, 94) bytes.
constexpr u32 kPeriodBytes = 3008;
constexpr u32 kDefaultBytes = 65536;

class Pattern final {
  public:
    char next() {
        const bool newline = (index_++ & 63) == 63;
        const char plain = static_cast<char>(0x21 + residue_);
        if (++residue_ == 94) residue_ = 0;
        return newline ? '\n' : plain;
    }

  private:
    u32 index_ = 0;
    u32 residue_ = 0;
};

char period[kPeriodBytes];

void flood_by_strings(u64 bytes) {
    Pattern pattern;
    for (char& c : period) c = pattern.next();
    while (bytes != 0) {
        const u64 part = bytes < kPeriodBytes ? bytes : kPeriodBytes;
        print({period, part});
        bytes -= part;
    }
}

void flood_by_bytes(u64 bytes) {
    Pattern pattern;
    for (; bytes != 0; --bytes) out8(kSerialPort, static_cast<u8>(pattern.next()));
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    const u64 bytes = option_value("bytes", kDefaultBytes);
    if (has_option("rep")) {
        flood_by_strings(bytes);
    } else {
        flood_by_bytes(bytes);
    }
    return 0;
}
