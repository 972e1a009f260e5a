// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include "tests/unit/devices/uart/uart_fixture.h"

using namespace mayfly;

TEST_CASE("uart takes no input before the guest listens", "[uart16550]") {
    UartFixture f;
    CHECK_FALSE(f.uart.wants_input());
    CHECK(f.uart.receive(f.bytes("x")) == 0);
    CHECK(f.host.wanted == 0);
}

TEST_CASE("uart asks for input when ERBFI is set", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x01);
    CHECK(f.host.wanted == 1);
    CHECK(f.uart.wants_input());
    write8(f.uart, 1, 0x00);
    write8(f.uart, 1, 0x01);
    CHECK(f.host.wanted == 1);
}

TEST_CASE("uart asks for input when the guest polls LSR", "[uart16550]") {
    UartFixture f;
    (void)read8(f.uart, 5);
    CHECK(f.host.wanted == 0);
    (void)read8(f.uart, 5);
    CHECK(f.host.wanted == 1);
    CHECK(f.uart.receive(f.bytes("k")) == 1);
    CHECK(read8(f.uart, 5) == 0x61);
    CHECK(read8(f.uart, 0) == 'k');
}

TEST_CASE("uart does not take polled output for listening", "[uart16550]") {
    UartFixture f;
    for (int i = 0; i < 100; ++i) {
        (void)read8(f.uart, 5);
        write8(f.uart, 0, '.');
    }
    CHECK(f.host.wanted == 0);
}

TEST_CASE("uart loses no input while Linux opens the port", "[uart16550]") {
    UartFixture f;
    // 8250_port.c, start-up: clear the FIFOs, then clear the interrupt registers.
    write8(f.uart, 2, 0x01);
    write8(f.uart, 2, 0x07);
    write8(f.uart, 2, 0x00);
    (void)read8(f.uart, 5);
    (void)read8(f.uart, 0);
    (void)read8(f.uart, 2);
    (void)read8(f.uart, 6);
    write8(f.uart, 3, 0x03);
    write8(f.uart, 4, 0x08);
    CHECK(f.host.wanted == 0);
    // Then interrupts on, and only then the FIFOs.
    write8(f.uart, 1, 0x05);
    CHECK(f.uart.receive(f.bytes("ls")) == 1);
    write8(f.uart, 2, 0x01);
    write8(f.uart, 2, 0x81);
    CHECK(f.irq.level);
    CHECK(read8(f.uart, 2) == 0xcc);
    CHECK(read8(f.uart, 0) == 'l');
    CHECK(f.host.wanted == 2);
}

TEST_CASE("uart holds one character without FIFOs", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("ab")) == 1);
    CHECK_FALSE(f.uart.wants_input());
    CHECK(read8(f.uart, 2) == 0x04);
    CHECK(read8(f.uart, 0) == 'a');
    CHECK(f.uart.wants_input());
    CHECK(f.host.wanted == 2);
}

TEST_CASE("uart holds sixteen characters with FIFOs and asks again when empty", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x01);
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("0123456789abcdefXYZ")) == 16);
    CHECK(f.uart.receive(f.bytes("XYZ")) == 0);
    CHECK(f.uart.state().bytes_in == 16);
    std::string seen;
    while ((read8(f.uart, 5) & 0x01) != 0) {
        CHECK(f.host.wanted == 1);
        seen.push_back(static_cast<char>(read8(f.uart, 0)));
    }
    CHECK(seen == "0123456789abcdef");
    CHECK(f.host.wanted == 2);
}

TEST_CASE("uart passes a flood through its FIFO in order", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x81);
    write8(f.uart, 1, 0x01);
    std::vector<u8> sent(10000);
    for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<u8>(i * 7);
    std::vector<u8> seen;
    std::size_t at = 0;
    while (seen.size() < sent.size()) {
        at += f.uart.receive(std::span<const u8>(sent).subspan(at));
        seen.push_back(read8(f.uart, 0));
        seen.push_back(read8(f.uart, 0));
    }
    CHECK(seen == sent);
}

TEST_CASE("uart tells data at the trigger level from a character timeout", "[uart16550]") {
    const struct {
        u8 fcr;
        std::size_t level;
    } rows[] = {{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}};
    for (const auto& row : rows) {
        UartFixture f;
        write8(f.uart, 2, row.fcr);
        write8(f.uart, 1, 0x01);
        const std::string below(row.level - 1, 'x');
        CHECK(f.uart.receive(f.bytes(below)) == row.level - 1);
        CHECK(read8(f.uart, 2) == (row.level == 1 ? 0xc1 : 0xcc));
        CHECK(f.uart.receive(f.bytes("x")) == 1);
        CHECK(read8(f.uart, 2) == 0xc4);
        (void)read8(f.uart, 0);
        CHECK(read8(f.uart, 2) == (row.level == 1 ? 0xc1 : 0xcc));
    }
}

TEST_CASE("uart keeps the receive interrupt up until the FIFO is empty", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 4, 0x08);
    write8(f.uart, 2, 0x01);
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("ab")) == 2);
    CHECK(f.irq.rising_edges == 1);
    (void)read8(f.uart, 0);
    CHECK(f.irq.level);
    (void)read8(f.uart, 0);
    CHECK_FALSE(f.irq.level);
    CHECK(f.uart.receive(f.bytes("c")) == 1);
    CHECK(f.irq.rising_edges == 2);
}

TEST_CASE("uart received data comes before an empty transmitter", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x03);
    CHECK(f.uart.receive(f.bytes("a")) == 1);
    CHECK(read8(f.uart, 2) == 0x04);
    (void)read8(f.uart, 0);
    // Reading IIR for the received data has not taken the THRE interrupt away.
    CHECK(read8(f.uart, 2) == 0x02);
}

TEST_CASE("uart clears the receiver on request and asks for more", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x01);
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("abc")) == 3);
    write8(f.uart, 2, 0x03);
    CHECK(read8(f.uart, 5) == 0x60);
    CHECK(read8(f.uart, 2) == 0xc1);
    CHECK(f.host.wanted == 2);
}

TEST_CASE("uart loses the FIFO's contents when the guest leaves FIFO mode", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 2, 0x01);
    write8(f.uart, 1, 0x01);
    CHECK(f.uart.receive(f.bytes("abc")) == 3);
    write8(f.uart, 2, 0x00);
    CHECK(read8(f.uart, 5) == 0x60);
}

TEST_CASE("uart takes no input in loopback and asks for it afterwards", "[uart16550]") {
    UartFixture f;
    write8(f.uart, 1, 0x01);
    write8(f.uart, 4, 0x10);
    CHECK_FALSE(f.uart.wants_input());
    CHECK(f.uart.receive(f.bytes("x")) == 0);
    write8(f.uart, 4, 0x00);
    CHECK(f.host.wanted == 2);
    CHECK(f.uart.receive(f.bytes("x")) == 1);
}
