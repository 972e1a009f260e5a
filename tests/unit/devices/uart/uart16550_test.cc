// SPDX-License-Identifier: Apache-2.0
// The registers of a quiet port, sending, loopback and modem lines; uart16550_receive_test.cc has receiving.
#include <catch2/catch.hpp>

#include "tests/unit/devices/uart/uart_fixture.h"

using namespace mayfly;

TEST_CASE("uart registers read their reset values", "[uart16550]") {
    UartFixture f;
    CHECK(read8(f.uart, 1) == 0x00);  // IER
    CHECK(read8(f.uart, 2) == 0x01);  // IIR: no interrupt, no FIFOs
    CHECK(read8(f.uart, 3) == 0x00);  // LCR
    CHECK(read8(f.uart, 4) == 0x08);  // MCR: OUT2, as firmware leaves it
    CHECK(read8(f.uart, 5) == 0x60);  // LSR: THRE, TEMT
    CHECK(read8(f.uart, 6) == 0xb0);  // MSR: DCD, DSR, CTS, no deltas
    CHECK(read8(f.uart, 7) == 0x00);  // SCR
    CHECK(read8(f.uart, 0) == 0x00);  // RBR
    CHECK_FALSE(f.irq.level);
}

TEST_CASE("uart registers keep the bits that exist", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0xff);
    write8(f.uart, 3, 0x7f);
    write8(f.uart, 4, 0xff);
    write8(f.uart, 7, 0xa5);
    CHECK(read8(f.uart, 1) == 0x0f);
    CHECK(read8(f.uart, 3) == 0x7f);
    CHECK(read8(f.uart, 4) == 0x1f);
    CHECK(read8(f.uart, 7) == 0xa5);
}

TEST_CASE("uart ignores writes to LSR and MSR", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 5, 0xff);
    write8(f.uart, 6, 0xff);
    CHECK(read8(f.uart, 5) == 0x60);
    CHECK(read8(f.uart, 6) == 0xb0);
}

TEST_CASE("uart shows the divisor latch while DLAB is set", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x05);
    write8(f.uart, 3, 0x83);
    write8(f.uart, 0, 0x0c);
    write8(f.uart, 1, 0x34);
    CHECK(read8(f.uart, 0) == 0x0c);
    CHECK(read8(f.uart, 1) == 0x34);
    write8(f.uart, 3, 0x03);
    CHECK(read8(f.uart, 1) == 0x05);
    CHECK(f.host.text.empty());
}

TEST_CASE("uart divisor is not zero after reset, so a guest may divide by it", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 3, 0x80);
    CHECK(read8(f.uart, 0) + read8(f.uart, 1) > 0);
}

TEST_CASE("uart takes a wide access for consecutive byte accesses", "[uart16550]") {
    UartFixture f;
    f.uart.io_write({0, 2}, 0x0541);  // THR 'A', IER 0x05
    CHECK(f.host.text == "A");
    CHECK(read8(f.uart, 1) == 0x05);
    CHECK(f.uart.io_read({3, 4}) == 0xb0600800);  // LCR, MCR, LSR, MSR
    f.uart.io_write({0, 8}, 0x7700000000000042);
    CHECK(f.host.text == "AB");
    CHECK(read8(f.uart, 7) == 0x77);
}

TEST_CASE("uart sends a character at once and is ready for the next", "[uart16550]") {
    UartFixture f;
    for (const char c : std::string("hello")) {
        CHECK((read8(f.uart, 5) & 0x20) != 0);
        write8(f.uart, 0, static_cast<u8>(c));
    }
    CHECK(f.host.text == "hello");
    CHECK(f.uart.state().bytes_out == 5);
}

TEST_CASE("uart raises THRE when ETBEI is set, and reading IIR clears it", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x08);  // OUT2
    write8(f.uart, 1, 0x02);
    CHECK(f.irq.level);
    CHECK(read8(f.uart, 2) == 0x02);
    CHECK_FALSE(f.irq.level);
    CHECK(read8(f.uart, 2) == 0x01);
}

TEST_CASE("uart raises THRE again after IER.ETBEI is toggled", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x08);
    write8(f.uart, 1, 0x02);
    (void)read8(f.uart, 2);
    write8(f.uart, 1, 0x02);
    CHECK_FALSE(f.irq.level);
    write8(f.uart, 1, 0x00);
    write8(f.uart, 1, 0x02);
    CHECK(f.irq.level);
    CHECK(read8(f.uart, 2) == 0x02);
}

TEST_CASE("uart gives one edge for each character sent by interrupt", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x08);
    write8(f.uart, 1, 0x02);
    CHECK(f.irq.rising_edges == 1);
    write8(f.uart, 0, 'x');  // without reading IIR first
    CHECK(f.irq.rising_edges == 2);
    CHECK(read8(f.uart, 2) == 0x02);
    write8(f.uart, 0, 'y');
    CHECK(f.irq.rising_edges == 3);
}

TEST_CASE("uart interrupt pin is gated by OUT2", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x00);
    write8(f.uart, 1, 0x02);
    CHECK_FALSE(f.irq.level);
    write8(f.uart, 4, 0x08);
    CHECK(f.irq.level);
    write8(f.uart, 4, 0x00);
    CHECK_FALSE(f.irq.level);
    CHECK(read8(f.uart, 2) == 0x02);
}

TEST_CASE("uart interrupts a guest that never touches MCR", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("x")) == 1);
    CHECK(f.irq.level);
}

TEST_CASE("uart loopback connects the modem outputs to the modem inputs", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x10);
    CHECK((read8(f.uart, 6) & 0xf0) == 0x00);
    write8(f.uart, 4, 0x11);  // DTR -> DSR
    CHECK(read8(f.uart, 6) == 0x22);
    write8(f.uart, 4, 0x12);  // RTS -> CTS
    CHECK(read8(f.uart, 6) == 0x13);
    write8(f.uart, 4, 0x14);  // OUT1 -> RI; a rising RI does not set TERI
    CHECK(read8(f.uart, 6) == 0x41);
    write8(f.uart, 4, 0x18);  // OUT2 -> DCD; RI falls: TERI
    CHECK(read8(f.uart, 6) == 0x8c);
    CHECK(read8(f.uart, 6) == 0x80);
}

TEST_CASE("uart answers the loopback test of 8250 drivers", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x1a);  // LOOP, OUT2, RTS
    CHECK((read8(f.uart, 6) & 0xf0) == 0x90);
}

TEST_CASE("uart reports a modem status change as interrupt of the lowest priority", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x0a);  // EDSSI, ETBEI
    write8(f.uart, 4, 0x10);  // all inputs fall
    CHECK(read8(f.uart, 2) == 0x02);
    CHECK(read8(f.uart, 2) == 0x00);
    CHECK(read8(f.uart, 2) == 0x00);
    CHECK(read8(f.uart, 6) == 0x0b);
    CHECK(read8(f.uart, 2) == 0x01);
}

TEST_CASE("uart loopback receives what is sent and sends nothing out", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x18);
    write8(f.uart, 1, 0x01);
    write8(f.uart, 0, 0x55);
    CHECK(f.host.text.empty());
    CHECK(read8(f.uart, 2) == 0x04);
    CHECK_FALSE(f.irq.level);  // OUT2 is held inactive
    CHECK(read8(f.uart, 5) == 0x61);
    CHECK(read8(f.uart, 0) == 0x55);
    CHECK(read8(f.uart, 5) == 0x60);
}

TEST_CASE("uart loopback overrun replaces the character without FIFOs", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x05);
    write8(f.uart, 4, 0x10);
    write8(f.uart, 0, 1);
    write8(f.uart, 0, 2);
    CHECK(read8(f.uart, 2) == 0x06);
    CHECK(read8(f.uart, 5) == 0x63);
    CHECK(read8(f.uart, 5) == 0x61);
    CHECK(read8(f.uart, 0) == 2);
}

TEST_CASE("uart loopback overrun loses the new character with FIFOs", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x01);
    write8(f.uart, 4, 0x10);
    for (int i = 0; i < 17; ++i) write8(f.uart, 0, static_cast<u8>(i));
    CHECK(read8(f.uart, 5) == 0x63);
    for (int i = 0; i < 16; ++i) CHECK(read8(f.uart, 0) == i);
    CHECK(read8(f.uart, 5) == 0x60);
}

TEST_CASE("uart FCR is programmed only together with its enable bit", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0xc0);
    CHECK(read8(f.uart, 2) == 0x01);
    write8(f.uart, 2, 0x07);
    CHECK(read8(f.uart, 2) == 0xc1);
    write8(f.uart, 2, 0x00);
    CHECK(read8(f.uart, 2) == 0x01);
}

TEST_CASE("uart survives any access", "[uart16550]") {
    UartFixture f;
    CHECK(hammer(f.uart, 8) == 0);
    CHECK(f.uart.state().fifo_count <= 16);
    CHECK(f.uart.state().fifo_head < 16);
    f.uart.reset();
    CHECK(read8(f.uart, 5) == 0x60);
    CHECK(read8(f.uart, 2) == 0x01);
    CHECK(read8(f.uart, 6) == 0xb0);
}

TEST_CASE("uart reset while busy empties the receiver and lowers the pin", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x01);
    write8(f.uart, 4, 0x08);
    write8(f.uart, 1, 0x0f);
    CHECK(f.uart.receive(f.bytes("abc")) == 3);
    CHECK(f.irq.level);
    f.uart.reset();
    CHECK_FALSE(f.irq.level);
    CHECK(read8(f.uart, 5) == 0x60);
    CHECK(read8(f.uart, 1) == 0x00);
    CHECK(read8(f.uart, 2) == 0x01);
    CHECK_FALSE(f.uart.wants_input());
}
