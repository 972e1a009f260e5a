// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/io_apic.h"

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

constexpr u32 kMasked = 0x1'0000;

class FakeMessages final : public MsiPort {
  public:
    struct Message {
        u64 address;
        u32 data;
        bool operator==(const Message& other) const = default;
    };

    void set_message(u16 vector, u64 address, u32 data) override {
        CHECK(vector == 0);
        next_ = {address, data};
    }
    MsiPath send(u16 vector) override {
        CHECK(vector == 0);
        sent.push_back(next_);
        return path;
    }

    std::vector<Message> sent;
    MsiPath path = MsiPath::SignalMsi;

  private:
    Message next_{};
};

/// A driver: an index to FEC0_0000h, then data at FEC0_0010h.
struct Fixture {
    FakeMessages messages;
    IoApic chip{messages};

    [[nodiscard]] u32 get(u8 index) {
        chip.io_write({0x00, 4}, index);
        return static_cast<u32>(chip.io_read({0x10, 4}));
    }
    void set(u8 index, u32 value) {
        chip.io_write({0x00, 4}, index);
        chip.io_write({0x10, 4}, value);
    }
    /// The high half first, as Linux does: the low one has the mask.
    void program(u32 low, u32 high) {
        set(0x11, high);
        set(0x10, low);
    }
    void pulse() {
        chip.set_pin(true);
        chip.set_pin(false);
    }
};

}  // namespace

TEST_CASE("an I/O APIC has one masked entry after a reset", "[io_apic]") {
    Fixture f;
    for (int round = 0; round < 2; ++round) {
        CHECK(f.chip.io_read({0x00, 4}) == 0);
        CHECK(f.get(0x00) == 0);
        CHECK(f.get(0x01) == 0x0000'0011);  // version 11h, the last entry is number 0
        CHECK(f.get(0x02) == 0);
        CHECK(f.get(0x10) == kMasked);
        CHECK(f.get(0x11) == 0);
        f.set(0x00, ~0U);
        f.program(~0U, ~0U);
        CHECK(f.get(0x10) != kMasked);
        f.chip.reset();
    }
}

TEST_CASE("an I/O APIC's identification is bits 24 to 27, and its arbitration follows", "[io_apic]") {
    Fixture f;
    f.set(0x00, ~0U);
    CHECK(f.get(0x00) == 0x0f00'0000);
    CHECK(f.get(0x02) == 0x0f00'0000);
    f.set(0x00, 0xf5ff'ffff);
    CHECK(f.get(0x00) == 0x0500'0000);
    f.set(0x02, 0x0100'0000);
    f.set(0x01, 0xffff'ffff);
    CHECK(f.get(0x02) == 0x0500'0000);
    CHECK(f.get(0x01) == 0x0000'0011);
}

TEST_CASE("an entry keeps its writable bits, and never its status bits", "[io_apic]") {
    Fixture f;
    // Vector 0-7, delivery mode 8-10, destination mode 11, polarity 13, trigger mode 15, mask 16. Delivery
    // status 12 and remote IRR 14 are read-only, 17 to 55 reserved.
    f.program(~0U, ~0U);
    CHECK(f.get(0x10) == 0x0001'afff);
    CHECK(f.get(0x11) == 0xff00'0000);
    f.program(0x0000'5000, 0x00ff'ffff);
    CHECK(f.get(0x10) == 0);
    CHECK(f.get(0x11) == 0);
    f.program(kMasked | 0x8931, 0x0300'0000);
    CHECK(f.get(0x10) == (kMasked | 0x8931));
    CHECK(f.get(0x11) == 0x0300'0000);
}

TEST_CASE("an I/O APIC has no other registers", "[io_apic]") {
    Fixture f;
    f.program(kMasked | 0x31, 0x0100'0000);
    for (unsigned index = 0; index < 256; ++index) {
        if (index <= 0x02 || index == 0x10 || index == 0x11) continue;
        CAPTURE(index);
        f.set(static_cast<u8>(index), ~0U);
        CHECK(f.get(static_cast<u8>(index)) == 0);
    }
    CHECK(f.get(0x00) == 0);
    CHECK(f.get(0x10) == (kMasked | 0x31));
    CHECK(f.get(0x11) == 0x0100'0000);
}

TEST_CASE("an I/O APIC's index has 8 bits, at any width up to 32", "[io_apic]") {
    Fixture f;
    for (const u8 size : {u8{1}, u8{2}, u8{4}}) {
        f.chip.io_write({0x00, size}, 0x11);
        CHECK(f.chip.io_read({0x00, size}) == 0x11);
        f.chip.io_write({0x00, size}, 0x01);
        CHECK(f.chip.io_read({0x10, 4}) == 0x11);  // the version
    }
    f.chip.io_write({0x00, 4}, 0xffff'ff10);
    CHECK(f.chip.io_read({0x00, 4}) == 0x10);
    f.chip.io_write({0x01, 1}, 0xff);
    f.chip.io_write({0x00, 8}, 0xff);
    CHECK(f.chip.io_read({0x00, 4}) == 0x10);
    CHECK(f.chip.io_read({0x00, 8}) == ~u64{0});
    CHECK(f.chip.io_read({0x01, 1}) == 0xff);
}

TEST_CASE("an I/O APIC's window takes 32 bits at once, or nothing", "[io_apic]") {
    Fixture f;
    f.program(kMasked | 0x31, 0);
    f.chip.io_write({0x00, 4}, 0x10);
    for (const u8 size : {u8{1}, u8{2}, u8{8}}) {
        f.chip.io_write({0x10, size}, 0x55);
        CHECK(f.chip.io_read({0x10, size}) == all_ones(size));
    }
    for (const u64 offset : {0x04U, 0x08U, 0x0cU, 0x11U, 0x12U, 0x14U, 0x1cU}) {
        CAPTURE(offset);
        f.chip.io_write({offset, 4}, 0x55);
        CHECK(f.chip.io_read({offset, 4}) == 0xffff'ffff);
    }
    CHECK(f.get(0x10) == (kMasked | 0x31));
}

// Intel SDM Vol. 3A "Message Signalled Interrupts": the address is FEEh, destination in bits 12 to 19,
// destination mode in bit 2; the data is the vector in bits 0 to 7, delivery mode in 8 to 10, assert in 14.
TEST_CASE("an entry becomes the message that it describes", "[io_apic]") {
    const struct {
        u32 low, high;
        u64 address;
        u32 data;
    } rows[] = {
        {0x0031, 0x0000'0000, 0xfee0'0000, 0x4031},  // fixed, physical, processor 0
        {0x0031, 0x0300'0000, 0xfee0'3000, 0x4031}, {0x00ef, 0xff00'0000, 0xfeef'f000, 0x40ef},  // all
        {0x0831, 0x0100'0000, 0xfee0'1004, 0x4031},                                              // logical
        {0x0931, 0x8000'0000, 0xfee8'0004, 0x4131},  // the lowest priority among the logical ones
        {0x0200, 0x0000'0000, 0xfee0'0000, 0x4200},  // SMI
        {0x0400, 0x0200'0000, 0xfee0'2000, 0x4400},  // NMI
        {0x0500, 0x0200'0000, 0xfee0'2000, 0x4500},  // INIT
        {0x0700, 0x0000'0000, 0xfee0'0000, 0x4700},  // ExtINT
        {0x2031, 0x0000'0000, 0xfee0'0000, 0x4031},  // the message has no polarity
        {0x8031, 0x0000'0000, 0xfee0'0000, 0x4031},  // the trigger mode is ignored too: no EOI comes back
    };
    for (const auto& row : rows) {
        Fixture f;
        CAPTURE(row.low, row.high);
        f.program(row.low, row.high);
        f.pulse();
        CHECK(f.messages.sent == std::vector{FakeMessages::Message{row.address, row.data}});
    }
}

TEST_CASE("each rising edge is one message, and only rising edges are", "[io_apic]") {
    Fixture f;
    f.program(0x31, 0);
    CHECK(f.messages.sent.empty());
    f.chip.set_pin(false);
    CHECK(f.messages.sent.empty());
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 1);
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 1);
    f.program(0x32, 0);
    CHECK(f.messages.sent.size() == 1);
    f.chip.set_pin(false);
    CHECK(f.messages.sent.size() == 1);
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 2);
    CHECK(f.messages.sent.back().data == 0x4032);
}

TEST_CASE("edges under the mask are one message when the mask is cleared, sent where the entry then points",
          "[io_apic]") {
    Fixture f;
    for (int i = 0; i < 3; ++i) f.pulse();
    f.program(kMasked | 0x31, 0x0100'0000);
    CHECK(f.messages.sent.empty());
    f.program(0x41, 0x0200'0000);
    CHECK(f.messages.sent == std::vector{FakeMessages::Message{0xfee0'2000, 0x4041}});
    f.set(0x10, kMasked | 0x41);
    f.set(0x10, 0x41);
    CHECK(f.messages.sent.size() == 1);
}

TEST_CASE("a pin that stays high over the mask makes no second message", "[io_apic]") {
    Fixture f;
    f.program(0x31, 0);
    f.chip.set_pin(true);
    f.set(0x10, kMasked | 0x31);
    f.set(0x10, 0x31);
    CHECK(f.messages.sent.size() == 1);
}

TEST_CASE("a level that stays high is delivered once, whatever is programmed and read", "[io_apic]") {
    Fixture f;
    f.program(0x8031, 0);
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 1);
    CHECK(f.get(0x10) == 0x8031);  // no remote IRR: Linux, which waits for its end, would find it set forever
    f.set(0x10, kMasked | 0x8031);
    f.set(0x10, 0x8031);
    CHECK(f.messages.sent.size() == 1);
    f.chip.set_pin(false);
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 2);
}

TEST_CASE("a reset forgets a pending edge but not the pin", "[io_apic]") {
    Fixture f;
    f.chip.set_pin(true);
    f.chip.reset();
    f.program(0x31, 0);
    CHECK(f.messages.sent.empty());
    f.chip.set_pin(true);
    CHECK(f.messages.sent.empty());
    f.chip.set_pin(false);
    f.chip.set_pin(true);
    CHECK(f.messages.sent.size() == 1);
}

TEST_CASE("a message that the host refuses is lost, and the next one is tried", "[io_apic]") {
    Fixture f;
    f.messages.path = MsiPath::Lost;
    f.program(0x31, 0xfe00'0000);
    f.pulse();
    f.pulse();
    CHECK(f.messages.sent.size() == 2);
}

// Linux 6.12, arch/x86/kernel/apic/io_apic.c: what it does with a chip before an interrupt works.
TEST_CASE("an I/O APIC is found, cleared and programmed as Linux does it", "[io_apic]") {
    Fixture f;
    // bad_ioapic_register(), mp_register_ioapic(): no chip reads as all ones; entries from the version.
    CHECK_FALSE((f.get(0) == ~0U && f.get(1) == ~0U && f.get(2) == ~0U));
    CHECK((f.get(1) >> 16 & 0xff) + 1 == 1);
    CHECK((f.get(1) & 0xff) < 0x20);  // no EOI register, whose writes would have no effect
    // clear_IO_APIC_pin(): masked, then the rest to 0; remote IRR must be clear after it.
    f.set(0x10, kMasked);
    f.program(kMasked, 0);
    CHECK(f.get(0x10) == kMasked);
    // io_apic_get_unique_id() on 32 bits: the number that was written reads back.
    f.set(0x00, 0x0200'0000);
    CHECK(f.get(0x00) >> 24 == 2);
    // The driver probes its interrupt while the entry is masked; request_irq() programs it.
    f.pulse();
    f.program(0x0022, 0x0000'0000);
    CHECK(f.messages.sent.size() == 1);
    // Affinity: masked, moved, unmasked. An interrupt during the move arrives at the new place.
    f.set(0x10, kMasked | 0x22);
    f.pulse();
    f.program(0x0023, 0x0100'0000);
    CHECK(f.messages.sent.size() == 2);
    CHECK(f.messages.sent.back() == FakeMessages::Message{0xfee0'1000, 0x4023});
}

TEST_CASE("an I/O APIC survives any access", "[io_apic]") {
    Fixture f;
    CHECK(hammer(f.chip, 0x20) == 0);
    f.chip.set_pin(false);
    CHECK(hammer(f.chip, 0x20) == 0);
    CHECK((f.chip.state().entry_low & ~0x1'afffU) == 0);
    CHECK((f.chip.state().entry_high & 0x00ff'ffff) == 0);
    CHECK((f.chip.state().id & ~0x0f00'0000U) == 0);
    f.program(0x31, 0);
    f.messages.sent.clear();
    f.pulse();
    CHECK(f.messages.sent.size() == 1);
}
