// SPDX-License-Identifier: Apache-2.0
// The monitor's boot information: command line, memory map, modules; the same view of all four protocols.
#pragma once

#include "firmware/guests/runtime/report.h"

namespace guest {

enum class BootProtocol : u8 { Unknown, Linux, Pvh, Multiboot, Multiboot2 };

[[nodiscard]] BootProtocol boot_protocol();
[[nodiscard]] Text protocol_name();

/// Without the terminating NUL; empty when it is missing.
[[nodiscard]] Text command_line();

/// The command line has the word NAME, or NAME=anything.
[[nodiscard]] bool has_option(Text name);
/// The number behind NAME= (decimal, or hexadecimal behind 0x); `otherwise` without such a word.
[[nodiscard]] u64 option_value(Text name, u64 otherwise);

/// The `index`-th word NAME=TEXT's text; false when there are fewer.
bool find_option_text(Text name, u32 index, Text& text);
/// The first such text, or `otherwise`.
[[nodiscard]] Text option_text(Text name, Text otherwise);
/// NAME=TEXT is among the words.
[[nodiscard]] bool option_is(Text name, Text text);
[[nodiscard]] bool is_equal(Text one, Text other);
/// The number that `text` begins with (decimal, or hexadecimal behind 0x); `used` is how many characters.
u64 parse_number(Text text, u64& used);

/// Where ACPI's MCFG says that the configuration space of bus 0 is; 0 without that table.
[[nodiscard]] u64 acpi_ecam_base();

struct MemoryRange {
    u64 first;
    u64 size_bytes;
    u32 type;  ///< 1: usable RAM
};

/// Walks the memory map in its own order.
class MemoryMapWalk final {
  public:
    MemoryMapWalk();
    /// False at the end.
    bool next(MemoryRange& range);

  private:
    u64 at_ = 0;
    u64 end_ = 0;
    u32 entry_bytes_ = 0;  ///< 0: each entry begins with its own size (Multiboot 1)
};

struct Module {
    u64 first;
    u64 size_bytes;
    u64 command_line;  ///< 0: none
};

/// Linux: the initrd is module 0. False when the module does not exist.
bool find_module(u32 index, Module& module);

}  // namespace guest
