// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/pic8259.h"

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"
#include "tests/support/fake_irq_line.h"

using namespace mayfly;

namespace {

struct Fixture {
    FakeIrqLine intr;
    Pic8259 pic{intr};

    /// As every PC does it: vectors 0x20-0x2f, cascade on 2, nothing masked.
    explicit Fixture(u8 master_icw4 = 0x01, u8 slave_icw4 = 0x01) {
        for (const u64 base : {u64{0}, u64{2}}) {
            write8(pic, base, 0x11);
            write8(pic, base + 1, base == 0 ? 0x20 : 0x28);
            write8(pic, base + 1, base == 0 ? 0x04 : 0x02);
            write8(pic, base + 1, base == 0 ? master_icw4 : slave_icw4);
        }
    }
    void pulse(unsigned line) {
        pic.set_irq(line, true);
        pic.set_irq(line, false);
    }
    void eoi(unsigned line) {
        if (line >= 8) write8(pic, 2, 0x20);
        write8(pic, 0, 0x20);
    }
    [[nodiscard]] u8 isr(u64 base) {
        write8(pic, base, 0x0b);
        return read8(pic, base);
    }
    [[nodiscard]] u8 irr(u64 base) {
        write8(pic, base, 0x0a);
        return read8(pic, base);
    }
};

}  // namespace

TEST_CASE("pic registers read 0 after reset", "[pic8259]") {
    FakeIrqLine intr;
    Pic8259 pic(intr);
    for (u64 offset = 0; offset < 6; ++offset) CHECK(read8(pic, offset) == 0);
    CHECK_FALSE(pic.has_interrupt());
}

TEST_CASE("pic mask registers are read back", "[pic8259]") {
    Fixture f;
    write8(f.pic, 1, 0xfb);
    write8(f.pic, 3, 0x5a);
    CHECK(read8(f.pic, 1) == 0xfb);
    CHECK(read8(f.pic, 3) == 0x5a);
    CHECK(f.pic.io_read({0, 2}) == 0xfb00);
}

TEST_CASE("pic keeps the ELCR bits that are not fixed", "[pic8259]") {
    Fixture f;
    f.pic.io_write({4, 2}, 0xffff);
    CHECK(read8(f.pic, 4) == 0xf8);
    CHECK(read8(f.pic, 5) == 0xde);
}

TEST_CASE("pic delivers each line at its vector", "[pic8259]") {
    for (unsigned line = 0; line < 16; ++line) {
        if (line == 2) continue;
        CAPTURE(line);
        Fixture f;
        f.pulse(line);
        REQUIRE(f.intr.level);
        CHECK(f.pic.acknowledge() == 0x20 + line);
        CHECK_FALSE(f.intr.level);
        CHECK(f.isr(0) == (line < 8 ? 1U << line : 0x04));
        CHECK(f.isr(2) == (line < 8 ? 0 : 1U << (line - 8)));
        f.eoi(line);
        CHECK(f.isr(0) == 0);
        CHECK(f.isr(2) == 0);
        CHECK_FALSE(f.pic.has_interrupt());
    }
}

TEST_CASE("pic ignores the cascade line and lines that do not exist", "[pic8259]") {
    Fixture f;
    f.pic.set_irq(2, true);
    f.pic.set_irq(16, true);
    f.pic.set_irq(0xffffffff, true);
    CHECK_FALSE(f.pic.has_interrupt());
    CHECK(f.irr(0) == 0);
}

TEST_CASE("pic serves a higher priority first and holds a lower one back", "[pic8259]") {
    Fixture f;
    f.pulse(5);
    f.pulse(3);
    CHECK(f.pic.acknowledge() == 0x23);
    CHECK_FALSE(f.pic.has_interrupt());  // 5 waits for 3
    f.pulse(1);
    CHECK(f.pic.acknowledge() == 0x21);
    f.eoi(1);
    CHECK_FALSE(f.pic.has_interrupt());
    f.eoi(3);
    CHECK(f.pic.acknowledge() == 0x25);
}

TEST_CASE("pic places the second chip's lines between 1 and 3", "[pic8259]") {
    Fixture f;
    f.pulse(3);
    f.pulse(12);
    f.pulse(1);
    CHECK(f.pic.acknowledge() == 0x21);
    f.eoi(1);
    CHECK(f.pic.acknowledge() == 0x2c);
    f.eoi(12);
    CHECK(f.pic.acknowledge() == 0x23);
}

TEST_CASE("pic masks a request and delivers it after unmasking", "[pic8259]") {
    Fixture f;
    write8(f.pic, 1, 0x10);
    f.pulse(4);
    CHECK_FALSE(f.pic.has_interrupt());
    CHECK(f.irr(0) == 0x10);
    write8(f.pic, 1, 0x00);
    CHECK(f.pic.acknowledge() == 0x24);
    CHECK(f.irr(0) == 0x00);
}

TEST_CASE("pic edge line held high interrupts once", "[pic8259]") {
    Fixture f;
    f.pic.set_irq(4, true);
    CHECK(f.pic.acknowledge() == 0x24);
    f.eoi(4);
    f.pic.set_irq(4, true);
    CHECK_FALSE(f.pic.has_interrupt());
    f.pic.set_irq(4, false);
    f.pic.set_irq(4, true);
    CHECK(f.pic.has_interrupt());
}

TEST_CASE("pic level line held high interrupts again after each EOI", "[pic8259]") {
    Fixture f;
    write8(f.pic, 5, 0x08);  // IRQ 11
    f.pic.set_irq(11, true);
    for (int i = 0; i < 3; ++i) {
        CHECK(f.pic.acknowledge() == 0x2b);
        CHECK_FALSE(f.pic.has_interrupt());
        f.eoi(11);
        CHECK(f.pic.has_interrupt());
    }
    f.pic.set_irq(11, false);
    CHECK(f.pic.acknowledge() == 0x2f);  // the first chip had latched the request
}

TEST_CASE("pic gives spurious 7 when the first chip's request is gone", "[pic8259]") {
    Fixture f;
    write8(f.pic, 4, 0x20);  // IRQ 5 is a level
    f.pic.set_irq(5, true);
    f.pic.set_irq(5, false);
    CHECK(f.pic.acknowledge() == 0x27);
    CHECK(f.isr(0) == 0);
}

TEST_CASE("pic gives spurious 15 when the second chip's request is gone", "[pic8259]") {
    Fixture f;
    write8(f.pic, 5, 0x02);  // IRQ 9 is a level
    f.pic.set_irq(9, true);
    f.pic.set_irq(9, false);
    CHECK(f.pic.acknowledge() == 0x2f);
    CHECK(f.isr(2) == 0);
    CHECK(f.isr(0) == 0x04);  // the handler owes the first chip an EOI
}

TEST_CASE("pic automatic EOI leaves nothing in service", "[pic8259]") {
    Fixture f(0x03, 0x03);
    f.pulse(4);
    f.pulse(9);
    CHECK(f.pic.acknowledge() == 0x29);
    CHECK(f.isr(0) == 0);
    CHECK(f.isr(2) == 0);
    CHECK(f.pic.acknowledge() == 0x24);
    CHECK_FALSE(f.pic.has_interrupt());
}

TEST_CASE("pic delivers a second request of the second chip under automatic EOI", "[pic8259]") {
    Fixture f(0x03, 0x03);
    f.pulse(10);
    f.pulse(9);
    CHECK(f.pic.acknowledge() == 0x29);
    CHECK(f.pic.acknowledge() == 0x2a);
    CHECK_FALSE(f.pic.has_interrupt());
}

TEST_CASE("pic rotates priorities on a rotating EOI", "[pic8259]") {
    // Data sheet, "Automatic Rotation": IR4 is served, then has the lowest priority; IR6 comes before IR4.
    Fixture f;
    f.pulse(4);
    f.pulse(6);
    CHECK(f.pic.acknowledge() == 0x24);
    write8(f.pic, 0, 0xa0);
    f.pulse(4);
    CHECK(f.pic.acknowledge() == 0x26);
    write8(f.pic, 0, 0x20);
    CHECK(f.pic.acknowledge() == 0x24);
}

TEST_CASE("pic rotates in automatic EOI mode when told to", "[pic8259]") {
    Fixture f(0x03, 0x01);
    write8(f.pic, 0, 0x80);
    f.pulse(4);
    CHECK(f.pic.acknowledge() == 0x24);
    f.pulse(4);
    f.pulse(6);
    CHECK(f.pic.acknowledge() == 0x26);
    write8(f.pic, 0, 0x00);
    CHECK(f.pic.acknowledge() == 0x24);
}

TEST_CASE("pic sets priorities and ends a specific level", "[pic8259]") {
    // Data sheet, "Specific Rotation": with IR5 programmed as the lowest, IR6 has the highest priority.
    Fixture f;
    write8(f.pic, 0, 0xc5);
    f.pulse(0);
    f.pulse(6);
    CHECK(f.pic.acknowledge() == 0x26);
    write8(f.pic, 0, 0x66);  // specific EOI of 6
    CHECK(f.pic.acknowledge() == 0x20);
    write8(f.pic, 0, 0xe0);  // specific EOI of 0, which becomes the lowest
    f.pulse(0);
    f.pulse(7);
    CHECK(f.pic.acknowledge() == 0x27);
}

TEST_CASE("pic special mask mode lets lower levels through a masked one in service", "[pic8259]") {
    Fixture f;
    f.pulse(3);
    CHECK(f.pic.acknowledge() == 0x23);
    f.pulse(5);
    CHECK_FALSE(f.pic.has_interrupt());
    write8(f.pic, 1, 0x08);
    write8(f.pic, 0, 0x68);  // ESMM, SMM
    CHECK(f.pic.acknowledge() == 0x25);
    write8(f.pic, 0, 0x20);  // ends 5, not the masked 3
    CHECK(f.isr(0) == 0x08);
    write8(f.pic, 0, 0x48);  // ESMM, no SMM
    f.pulse(5);
    CHECK_FALSE(f.pic.has_interrupt());
}

TEST_CASE("pic special fully nested mode lets the second chip interrupt itself", "[pic8259]") {
    Fixture plain;
    plain.pulse(12);
    CHECK(plain.pic.acknowledge() == 0x2c);
    plain.pulse(9);
    CHECK_FALSE(plain.pic.has_interrupt());

    Fixture nested(0x11);
    nested.pulse(12);
    CHECK(nested.pic.acknowledge() == 0x2c);
    nested.pulse(9);
    CHECK(nested.pic.acknowledge() == 0x29);
}

TEST_CASE("pic poll command acknowledges by a read", "[pic8259]") {
    Fixture f;
    write8(f.pic, 0, 0x0c);
    CHECK(read8(f.pic, 0) == 0x00);
    f.pulse(6);
    write8(f.pic, 0, 0x0c);
    CHECK(read8(f.pic, 0) == 0x86);
    CHECK_FALSE(f.pic.has_interrupt());
    CHECK(f.isr(0) == 0x40);
    f.eoi(6);
    f.pulse(13);
    write8(f.pic, 2, 0x0c);
    CHECK(read8(f.pic, 2) == 0x85);
    CHECK_FALSE(f.pic.has_interrupt());
}

TEST_CASE("pic does not interrupt before its initialisation is complete", "[pic8259]") {
    Fixture f;
    write8(f.pic, 0, 0x11);
    f.pulse(1);
    CHECK_FALSE(f.pic.has_interrupt());
    write8(f.pic, 1, 0x47);  // the low three bits are not part of the base
    write8(f.pic, 1, 0x04);
    CHECK_FALSE(f.pic.has_interrupt());
    write8(f.pic, 1, 0x01);
    CHECK(f.pic.acknowledge() == 0x41);
}

TEST_CASE("pic initialisation clears masks, latched edges and levels in service", "[pic8259]") {
    Fixture f;
    f.pulse(0);
    CHECK(f.pic.acknowledge() == 0x20);
    write8(f.pic, 1, 0xf0);
    f.pic.set_irq(4, true);
    write8(f.pic, 0, 0x13);  // single, with ICW4
    write8(f.pic, 1, 0x20);
    write8(f.pic, 1, 0x01);
    CHECK(read8(f.pic, 1) == 0x00);
    CHECK(f.isr(0) == 0x00);
    CHECK(f.irr(0) == 0x00);
    // The line must fall and rise to be an edge again.
    f.pic.set_irq(4, true);
    CHECK_FALSE(f.pic.has_interrupt());
    f.pic.set_irq(4, false);
    f.pic.set_irq(4, true);
    CHECK(f.pic.has_interrupt());
}

TEST_CASE("pic without ICW4 is ready after ICW3", "[pic8259]") {
    FakeIrqLine intr;
    Pic8259 pic(intr);
    write8(pic, 0, 0x10);
    write8(pic, 1, 0x08);
    write8(pic, 1, 0x04);
    pic.set_irq(3, true);
    CHECK(pic.acknowledge() == 0x0b);
}

TEST_CASE("pic drives INTR by its edges only", "[pic8259]") {
    Fixture f;
    const int before = f.intr.calls;
    f.pic.set_irq(3, true);
    f.pic.set_irq(3, true);
    f.pic.set_irq(4, true);
    CHECK(f.intr.calls == before + 1);
    CHECK(f.intr.rising_edges == 1);
}

TEST_CASE("pic reset while busy lowers INTR and forgets everything but the lines", "[pic8259]") {
    Fixture f;
    f.pic.set_irq(3, true);
    CHECK(f.pic.acknowledge() == 0x23);
    f.pulse(1);
    CHECK(f.intr.level);
    f.pic.reset();
    CHECK_FALSE(f.intr.level);
    for (u64 offset = 0; offset < 6; ++offset) CHECK(read8(f.pic, offset) == 0);
    CHECK(f.pic.state().master.lines == 0x08);
}

TEST_CASE("pic survives any access while lines change", "[pic8259]") {
    Fixture f;
    CHECK(hammer(f.pic, 6) == 0);
    std::mt19937 random(7);
    for (int i = 0; i < 50000; ++i) {
        write8(f.pic, random() % 6, static_cast<u8>(random()));
        f.pic.set_irq(static_cast<unsigned>(random() % 20), random() % 2 != 0);
        if (f.pic.has_interrupt() != f.intr.level) FAIL("INTR differs from its pin");
        if (random() % 3 == 0) (void)f.pic.acknowledge();
    }
    CHECK(f.pic.state().master.lowest_priority < 8);
    CHECK(f.pic.state().slave.lowest_priority < 8);
}
