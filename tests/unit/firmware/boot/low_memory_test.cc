// SPDX-License-Identifier: Apache-2.0
// Memory below 1 MiB: the firmware's data, and kernels that lie there.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/boot/kernel_builder.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// Where a kernel's bytes are in these files.
constexpr u64 kBody = 0x400;
constexpr std::byte kFilling{0xa5};

/// Multiboot 1 and 2 headers before the body, a PVH note too; `address` is where the body is loaded and
/// entered.
Bytes kernel_at(u64 address, u64 bytes) {
    const Bytes notes = pvh_note(static_cast<u32>(address));
    Bytes file = elf64(address, {{kLoad, kBody, address, address, bytes, bytes, 0},
                                 {kNote, 0x200, 0, 0, notes.size(), notes.size(), 4}});
    put<u32>(file, 0x100, 0x1badb002);
    put<u32>(file, 0x104, 0);
    put<u32>(file, 0x108, 0u - 0x1badb002);
    put<u32>(file, 0x140, 0xe85250d6);
    put<u32>(file, 0x144, 0);
    put<u32>(file, 0x148, 24);
    put<u32>(file, 0x14c, 0u - 0xe85250d6 - 24);
    put<u32>(file, 0x150, 0);  // the end tag
    put<u32>(file, 0x154, 8);
    file.resize(0x200);
    append(file, notes);
    file.resize(kBody + bytes, kFilling);
    std::fill(file.begin() + kBody, file.end(), kFilling);
    return file;
}

constexpr Protocol kProtocols[] = {Protocol::Linux, Protocol::Pvh, Protocol::Multiboot, Protocol::Multiboot2};

bool is_whole(const Guest& guest, u64 address, u64 bytes) {
    const Bytes there = guest.at(address, bytes);
    return there.size() == bytes &&
           std::all_of(there.begin(), there.end(), [](std::byte byte) { return byte == kFilling; });
}

/// Checks the boot information, wherever it lies: found by the pointers of its protocol.
void check_information(const Guest& guest, const EntryState& entry, Protocol protocol) {
    switch (protocol) {
        case Protocol::Linux: {
            CHECK(guest.text_at(guest.value_at<u32>(entry.rsi + 0x228)) == "some words");
            CHECK(guest.value_at<u32>(entry.rsi + 0x202) == 0x53726448);  // HdrS
            const u64 setup_data = guest.value_at<u64>(entry.rsi + 0x250);
            CHECK(guest.value_at<u32>(setup_data + 8) == 9);  // SETUP_RNG_SEED
            // The page tables map their own place to itself.
            const u64 pdpt = guest.value_at<u64>(entry.page_tables.value) & ~u64{0xfff};
            CHECK(guest.value_at<u64>(guest.value_at<u64>(pdpt) & ~u64{0xfff}) == 0x83);
            break;
        }
        case Protocol::Pvh:
            CHECK(guest.value_at<u32>(entry.rbx) == 0x336ec578);
            CHECK(guest.text_at(guest.value_at<u64>(entry.rbx + 24)) == "some words");
            CHECK(guest.value_at<u64>(guest.value_at<u64>(entry.rbx + 40) + 8) == 0x9fc00);
            break;
        case Protocol::Multiboot:
            CHECK(guest.text_at(guest.value_at<u32>(entry.rbx + 16)) == "vmx some words");
            CHECK(guest.text_at(guest.value_at<u32>(entry.rbx + 64)) == "mayfly");
            break;
        case Protocol::Multiboot2:
            CHECK(guest.value_at<u32>(entry.rbx + 8) == 1);
            CHECK(guest.text_at(entry.rbx + 16) == "vmx some words");
            break;
        case Protocol::Auto: break;
    }
    CHECK(guest.at(entry.gdt.value + 0x18, 8) == from_hex("ffff00000093cf00"));
}

}  // namespace

TEST_CASE("structures that a kernel would cover go elsewhere, under every protocol", "[low_memory]") {
    struct Place {
        u64 address;
        u64 bytes;
    };
    // Each of our structures alone, pages of several, everything below the extended BIOS data area, and the
    // same with a hole.
    for (const Place& place :
         {Place{0x500, 0x10}, Place{0x5000, 0x100}, Place{0x6fff, 1}, Place{0x7000, 0x100},
          Place{0x8000, 0x1000}, Place{0x8000, 0x80000}, Place{0x9000, 1}, Place{0xefff, 1},
          Place{0x10000, 0x20000}, Place{0x500, 0x9f700}, Place{0, 0x9fc00}, Place{0x1000, 0x80000}}) {
        for (const Protocol protocol : kProtocols) {
            CAPTURE(place.address, place.bytes, to_string(protocol));
            Guest guest;
            guest.request.command_line = "some words";
            const auto entry = guest.boot(kernel_at(place.address, place.bytes), protocol);
            REQUIRE(entry.has_value());
            CHECK(is_whole(guest, place.address, place.bytes));
            check_information(guest, *entry, protocol);
            CHECK((entry->rsp <= place.address || entry->rsp - 0x4ff0 >= place.address + place.bytes));
        }
    }
}

TEST_CASE("a kernel that leaves no room at all is refused with that reason", "[low_memory]") {
    Bytes file = elf64(
        0x1000, {{kLoad, kBody, 0, 0x1000, 16, 0x9ec00, 0}, {kLoad, kBody, 0, 0x100000, 16, 0x100000, 0}});
    file.resize(kBody + 16);
    const std::string message = Guest().error_of(file, Protocol::Linux);
    CHECK(message.find("the kernel leaves no room for the boot stack of 20464 bytes") != std::string::npos);
}

TEST_CASE("the BIOS data area is like that of a PC's firmware, under every protocol", "[low_memory]") {
    for (const Protocol protocol : kProtocols) {
        Guest guest;
        REQUIRE(guest.boot(kernel_at(0x100000, 0x100), protocol).has_value());
        CHECK(guest.value_at<u16>(0x400) == 0x3f8);
        CHECK(guest.value_at<u16>(0x402) == 0);
        CHECK(guest.value_at<u16>(0x40e) == 0x9fc0);
        CHECK(guest.value_at<u16>(0x410) == 0x222);
        CHECK(guest.value_at<u16>(0x413) == 639);
        CHECK(guest.value_at<u16>(0x472) == 0);  // no warm start
        CHECK(guest.value_at<u8>(0x9fc00) == 1);
        // Each interrupt of real mode returns with the carry flag: push bp; mov bp,sp; or byte [bp+6],1; ...
        for (const u64 vector : {0x00u, 0x10u, 0x13u, 0x15u, 0xffu}) {
            const u64 handler = guest.value_at<u16>(vector * 4 + 2) * 16 + guest.value_at<u16>(vector * 4);
            CHECK(guest.at(handler, 9) == from_hex("55 89e5 804e0601 5d cf"));
        }
    }
}

TEST_CASE("a kernel that lies over the BIOS data area has its own bytes there", "[low_memory]") {
    Guest guest;
    REQUIRE(guest.boot(kernel_at(0x400, 0x100), Protocol::Multiboot).has_value());
    CHECK(is_whole(guest, 0x400, 0x100));
}
