// SPDX-License-Identifier: Apache-2.0
// bootinfo: prints how it was entered and with what: protocol, command line, modules.
#include "firmware/guests/runtime/boot_info.h"

namespace guest {
namespace {

constexpr u32 kShownBytes = 16;
constexpr u64 kTextMax = 64;

/// SAFETY: `at` is what the boot information points to, RAM below 4 GiB.
Text text_at(u64 at) {
    const char* const first = reinterpret_cast<const char*>(at);
    u64 size = 0;
    while (size < kTextMax && first[size] != '\0') ++size;
    return {first, size};
}

void print_module(u32 index, const Module& module) {
    Line line;
    line.add("module ").add_decimal(index).add(" size ").add_decimal(module.size_bytes).add(" bytes ");
    map_address(module.first);
    map_address(module.first + kShownBytes);
    // SAFETY: RAM by the boot information, just mapped.
    const auto* const bytes = reinterpret_cast<const u8*>(module.first);
    for (u64 n = 0; n < kShownBytes && n < module.size_bytes; ++n) {
        const char pair[] = {"0123456789abcdef"[bytes[n] >> 4], "0123456789abcdef"[bytes[n] & 15]};
        line.add({pair, 2});
    }
    line.print_line();
    if (module.command_line == 0) return;
    Line{}.add("module ").add_decimal(index).add(" text ").add(text_at(module.command_line)).print_line();
}

}  // namespace
}  // namespace guest

extern "C" guest::u32 guest_main() {
    using namespace guest;
    Line{}.add("protocol ").add(protocol_name()).print_line();
    Line{}.add("cmdline ").add(command_line()).print_line();
    Module module{};
    u32 count = 0;
    while (find_module(count, module)) print_module(count++, module);
    Line{}.add("modules ").add_decimal(count).print_line();
    return boot_protocol() == BootProtocol::Unknown ? 1 : 0;
}
