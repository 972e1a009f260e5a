// SPDX-License-Identifier: Apache-2.0
// Readers of the four boot information structures. Offsets are the specifications':
// Xen public/arch-x86/hvm/start_info.h; Multiboot Specification 0.6.96 §3.3 "Boot
// information format"; Multiboot2 Specification 2.0 §3.6 "Boot information"; Linux
// Documentation/x86/zero-page.rst.
#include "firmware/guests/runtime/boot_info.h"

extern "C" guest::u32 boot_record[2];  // entry.S: EAX and EBX as they were at the entry

namespace guest {
namespace {

constexpr u32 kMagicLinux = 0x5372'6448;
constexpr u32 kMagicPvh = 0x336e'c578;
constexpr u32 kMagicMultiboot = 0x2bad'b002;
constexpr u32 kMagicMultiboot2 = 0x36d7'6289;

constexpr u32 kMultibootHasCommandLine = 1 << 2;
constexpr u32 kMultibootHasModules = 1 << 3;
constexpr u32 kMultibootHasMemoryMap = 1 << 6;

constexpr u32 kTagEnd = 0;
constexpr u32 kTagCommandLine = 1;
constexpr u32 kTagModule = 3;
constexpr u32 kTagMemoryMap = 6;

/// SAFETY of the three: boot information lies in the first 16 MiB, which entry.S maps in any case.
/// Fields may be misaligned; x86 does not mind, and volatile keeps the compiler from widening an
/// access.
u8 peek8(u64 at) { return *reinterpret_cast<const volatile u8*>(at); }
u32 peek32(u64 at) { return *reinterpret_cast<const volatile u32*>(at); }
u64 peek64(u64 at) { return peek32(at) | u64{peek32(at + 4)} << 32; }

u64 info() { return boot_record[1]; }

/// The `index`-th tag of a type, or 0.
u64 find_tag(u32 type, u32 index) {
    u64 at = info() + 8;
    for (;;) {
        const u32 tag = peek32(at);
        if (tag == type && index-- == 0) return at;
        if (tag == kTagEnd) return 0;
        at += align_up(peek32(at + 4), 8);
    }
}

u64 command_line_address() {
    switch (boot_record[0]) {
        case kMagicLinux: return peek32(info() + 0x228) | u64{peek32(info() + 0xc8)} << 32;
        case kMagicPvh: return peek64(info() + 24);
        case kMagicMultiboot:
            return (peek32(info()) & kMultibootHasCommandLine) != 0 ? peek32(info() + 16) : 0;
        case kMagicMultiboot2: {
            const u64 tag = find_tag(kTagCommandLine, 0);
            return tag != 0 ? tag + 8 : 0;
        }
        default: return 0;
    }
}

/// The text behind the `index`-th such word's name ("" or "=..."), or null.
const char* find_option(Text name, u32 index) {
    const Text line = command_line();
    const char* const end = line.data + line.size_bytes;
    for (const char* at = line.data; at < end; ++at) {
        u64 matched = 0;
        while (matched < name.size_bytes && at + matched < end && at[matched] == name.data[matched])
            ++matched;
        const char* const behind = at + matched;
        if (matched == name.size_bytes && (behind == end || *behind == ' ' || *behind == '=')) {
            if (index-- == 0) return behind;
        }
        while (at < end && *at != ' ') ++at;
    }
    return nullptr;
}

}  // namespace

BootProtocol boot_protocol() {
    switch (boot_record[0]) {
        case kMagicLinux: return BootProtocol::Linux;
        case kMagicPvh: return BootProtocol::Pvh;
        case kMagicMultiboot: return BootProtocol::Multiboot;
        case kMagicMultiboot2: return BootProtocol::Multiboot2;
        default: return BootProtocol::Unknown;
    }
}

Text protocol_name() {
    switch (boot_protocol()) {
        case BootProtocol::Linux: return "linux";
        case BootProtocol::Pvh: return "pvh";
        case BootProtocol::Multiboot: return "multiboot";
        case BootProtocol::Multiboot2: return "multiboot2";
        case BootProtocol::Unknown: return "unknown";
    }
    return "unknown";
}

Text command_line() {
    // Used more than once, and reading each byte costs, so the length is determined once.
    static constinit const char* first = nullptr;
    static constinit u64 size_bytes = 0;
    if (first == nullptr) {
        const u64 at = command_line_address();
        if (at == 0) return "";
        while (peek8(at + size_bytes) != 0) ++size_bytes;
        first = reinterpret_cast<const char*>(at);
    }
    return {first, size_bytes};
}

bool has_option(Text name) { return find_option(name, 0) != nullptr; }

bool find_option_text(Text name, u32 index, Text& text) {
    const char* const at = find_option(name, index);
    if (at == nullptr || *at != '=') return false;
    const Text line = command_line();
    const char* end = at + 1;
    while (end < line.data + line.size_bytes && *end != ' ') ++end;
    text = {at + 1, static_cast<u64>(end - at - 1)};
    return true;
}

Text option_text(Text name, Text otherwise) {
    find_option_text(name, 0, otherwise);
    return otherwise;
}

bool is_equal(Text one, Text other) {
    if (one.size_bytes != other.size_bytes) return false;
    for (u64 n = 0; n < one.size_bytes; ++n) {
        if (one.data[n] != other.data[n]) return false;
    }
    return true;
}

bool option_is(Text name, Text text) { return is_equal(option_text(name, ""), text); }

u64 parse_number(Text text, u64& used) {
    const bool is_hex = text.size_bytes > 2 && text.data[0] == '0' && text.data[1] == 'x';
    const u32 base = is_hex ? 16 : 10;
    u64 value = 0;
    for (used = is_hex ? 2 : 0; used < text.size_bytes; ++used) {
        u32 digit = static_cast<u32>(text.data[used]) - '0';
        if (is_hex && digit > 9) digit = (static_cast<u32>(text.data[used]) | 0x20) - 'a' + 10;
        if (digit >= base) break;
        value = value * base + digit;
    }
    return value;
}

u64 option_value(Text name, u64 otherwise) {
    Text text = "";
    u64 used = 0;
    return find_option_text(name, 0, text) ? parse_number(text, used) : otherwise;
}

MemoryMapWalk::MemoryMapWalk() {
    switch (boot_record[0]) {
        case kMagicLinux:
            at_ = info() + 0x2d0;
            entry_bytes_ = 20;
            end_ = at_ + u64{peek8(info() + 0x1e8)} * entry_bytes_;
            break;
        case kMagicPvh:
            if (peek32(info() + 4) == 0) break;  // version 0 has no memory map
            at_ = peek64(info() + 40);
            entry_bytes_ = 24;
            end_ = at_ + u64{peek32(info() + 48)} * entry_bytes_;
            break;
        case kMagicMultiboot:
            if ((peek32(info()) & kMultibootHasMemoryMap) == 0) break;
            at_ = peek32(info() + 48);
            end_ = at_ + peek32(info() + 44);
            break;
        case kMagicMultiboot2: {
            const u64 tag = find_tag(kTagMemoryMap, 0);
            if (tag == 0) break;
            at_ = tag + 16;
            end_ = tag + peek32(tag + 4);
            entry_bytes_ = peek32(tag + 8);
            break;
        }
        default: break;
    }
}

bool MemoryMapWalk::next(MemoryRange& range) {
    if (at_ >= end_) return false;
    u64 entry = at_;
    if (entry_bytes_ == 0) {
        at_ += peek32(entry) + 4;
        entry += 4;
    } else {
        at_ += entry_bytes_;
    }
    range = {peek64(entry), peek64(entry + 8), peek32(entry + 16)};
    return true;
}

bool find_module(u32 index, Module& module) {
    u64 at = 0;
    switch (boot_record[0]) {
        case kMagicLinux:
            module = {peek32(info() + 0x218), peek32(info() + 0x21c), 0};
            return index == 0 && module.size_bytes != 0;
        case kMagicPvh:
            if (index >= peek32(info() + 12)) return false;
            at = peek64(info() + 16) + u64{index} * 32;
            module = {peek64(at), peek64(at + 8), peek64(at + 16)};
            return true;
        case kMagicMultiboot:
            if ((peek32(info()) & kMultibootHasModules) == 0 || index >= peek32(info() + 20)) return false;
            at = peek32(info() + 24) + u64{index} * 16;
            module = {peek32(at), peek32(at + 4) - peek32(at), peek32(at + 8)};
            return true;
        case kMagicMultiboot2:
            at = find_tag(kTagModule, index);
            if (at == 0) return false;
            module = {peek32(at + 8), peek32(at + 12) - peek32(at + 8), at + 16};
            return true;
        default: return false;
    }
}

}  // namespace guest
