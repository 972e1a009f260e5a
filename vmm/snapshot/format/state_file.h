// SPDX-License-Identifier: Apache-2.0
// A snapshot's file `state`: sections, one behind the other, with a table of them and a checksum.
//
//   0   "mayflySS"
//   8   u16 major version, u16 minor version, u32 bytes of this header: 64
//   16  u64 bytes of the file
//   24  u32 sections, u32 zero
//   32  u32 CRC-32 (zlib's) of the whole file, with zeros here; 28 bytes of zero follow
//   64  for each section: u32 tag, u16 version, u16 flags (bit 0: critical), u64 offset, u64 bytes, u64 zero
//
// All is little-endian. Another major version is another format. A section that a reader does not know is
// left out, unless it is critical. Thread: any.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/error/result.h"

namespace mayfly {

inline constexpr u16 kStateMajor = 1;
inline constexpr u16 kStateMinor = 0;
/// More than any machine's state takes.
inline constexpr std::size_t kStateBytesMax = std::size_t{16} << 20;
inline constexpr u32 kStateSectionsMax = 64;

/// Four letters, as the file shows them.
constexpr u32 section_tag(const char (&letters)[5]) {
    u32 tag = 0;
    for (unsigned i = 0; i < 4; ++i) tag |= static_cast<u32>(static_cast<unsigned char>(letters[i])) << 8 * i;
    return tag;
}
/// For messages; other characters than letters and digits are shown as '?'.
[[nodiscard]] std::string print_tag(u32 tag);

struct Section {
    u32 tag = 0;
    u16 version = 1;
    bool is_critical = true;
    std::vector<std::byte> payload;
};

/// Of a file that was read: its payloads are the file's bytes.
struct SectionView {
    u32 tag = 0;
    u16 version = 0;
    bool is_critical = false;
    std::span<const std::byte> payload;
};

[[nodiscard]] std::vector<std::byte> write_state_file(std::span<const Section> sections);
/// Errors: Invalid, with what is wrong of the file.
Result<std::vector<SectionView>> read_state_file(std::span<const std::byte> file);

}  // namespace mayfly
