// SPDX-License-Identifier: Apache-2.0
// The one-register devices: debug console, exit port, POST port, boot timer, i8042, 0xcf9, 0x92, pvpanic.
#include <catch2/catch.hpp>

#include "devices/platform/boot_timer.h"
#include "devices/platform/debug_console.h"
#include "devices/platform/exit_port.h"
#include "devices/platform/i8042.h"
#include "devices/platform/init_port.h"
#include "devices/platform/post_port.h"
#include "devices/platform/pvpanic.h"
#include "devices/platform/reset_control.h"
#include "devices/platform/system_control_a.h"
#include "tests/support/device_fakes.h"

using namespace mayfly;

TEST_CASE("debug console passes bytes on and reads as its signature", "[debug_console]") {
    FakeSink sink;
    DebugConsole console(sink);
    CHECK(read8(console, 0) == 0xe9);
    write8(console, 0, 'h');
    write8(console, 0, 'i');
    CHECK(sink.text == "hi");
    CHECK(console.state().bytes_out == 2);
    CHECK(hammer(console, 1) == 0);
    console.reset();
    CHECK(console.state().bytes_out == 0);
}

namespace {

struct FakeInitSink final : InitPortSink {
    void on_open(u32 frame) override { frames.push_back(frame); }
    void on_doorbell(u8 wishes) override { doorbells.push_back(wishes); }
    void on_text(u8 byte) override { text += static_cast<char>(byte); }
    std::vector<u32> frames;
    std::vector<u8> doorbells;
    std::string text;
};

}  // namespace

TEST_CASE("init port takes a frame at once or by bytes, doorbells and text", "[init_port]") {
    FakeInitSink sink;
    InitPort port(sink);
    port.io_write({0, 4}, 0x12345678);
    for (const u64 offset : {0U, 1U, 2U}) write8(port, offset, static_cast<u8>(0x11 * (offset + 1)));
    CHECK(sink.frames == std::vector<u32>{0x12345678});
    write8(port, 3, 0x44);
    CHECK(sink.frames.back() == 0x44332211);
    write8(port, 4, 6);
    write8(port, 5, 'h');
    write8(port, 5, 'i');
    CHECK(sink.doorbells == std::vector<u8>{6});
    CHECK(sink.text == "hi");
    CHECK(read8(port, 4) == 0xff);
    sink.frames.clear();
    port.io_write({2, 4}, 0);  // across the doorbell
    port.io_write({4, 2}, 0);
    CHECK(sink.frames.empty());
    CHECK(sink.doorbells.size() == 1);
    CHECK(hammer(port, InitPort::kSizeBytes) == 0);
    port.reset();
    CHECK(port.state().frame == 0);
}

TEST_CASE("exit port takes a verdict of one, two or four bytes", "[exit_port]") {
    FakeVerdicts verdicts;
    ExitPort port(verdicts);
    write8(port, 0, 3);
    port.io_write({0, 2}, 0x1234);
    port.io_write({0, 4}, 0xdeadbeef);
    CHECK(verdicts.values == std::vector<u64>{3, 0x1234, 0xdeadbeef});
    CHECK(verdicts.verdicts == std::vector<Verdict>(3, Verdict::ExitCode));
}

TEST_CASE("exit port ignores its neighbours and reads 0", "[exit_port]") {
    FakeVerdicts verdicts;
    ExitPort port(verdicts);
    write8(port, 1, 3);
    port.io_write({2, 2}, 3);
    CHECK(verdicts.values.empty());
    CHECK(read8(port, 0) == 0);
    CHECK(port.io_read({0, 4}) == 0);
    CHECK(hammer(port, 4) == 0);
    port.reset();
    CHECK(port.state().writes == 0);
}

TEST_CASE("exit port takes a word at once or by bytes, and only a whole one", "[exit_port]") {
    FakeVerdicts verdicts;
    ExitPort port(verdicts, ExitPort::Form::Word);
    port.io_write({0, 4}, 0xe100002a);
    CHECK(verdicts.values == std::vector<u64>{0xe100002a});
    for (const u64 offset : {0U, 1U, 2U}) write8(port, offset, static_cast<u8>(0x11 * (offset + 1)));
    CHECK(verdicts.values.size() == 1);
    write8(port, 3, 0xe2);
    CHECK(verdicts.values.back() == 0xe2332211);
    port.io_write({0, 2}, 0xffff'0009);
    port.io_write({2, 2}, 0xffff'e100);
    CHECK(verdicts.values.back() == 0xe1000009);
    CHECK(verdicts.values.size() == 3);
    // A program's stray writes, and one that is too wide.
    write8(port, 0, 5);
    port.io_write({0, 8}, 5);
    port.io_write({2, 4}, 5);
    CHECK(verdicts.values.size() == 3);
    CHECK(port.state().writes == 8);
    port.reset();
    CHECK(port.state().word == 0);
}

TEST_CASE("POST port marks each write and reads back the last", "[post_port]") {
    FakeMarks marks;
    PostPort port(marks);
    CHECK(read8(port, 0) == 0);
    write8(port, 0, 0x42);
    CHECK(read8(port, 0) == 0x42);
    port.io_write({0, 4}, 0x11223344);
    CHECK(port.io_read({0, 4}) == 0x11223344);
    CHECK(port.io_read({0, 2}) == 0x3344);
    CHECK(marks.values == std::vector<u32>{0x42, 0x11223344});
    write8(port, 1, 0x99);
    CHECK(read8(port, 1) == 0xff);
    CHECK(marks.values.size() == 2);
    CHECK(hammer(port, 4) == 0);
    port.reset();
    CHECK(read8(port, 0) == 0);
}

TEST_CASE("boot timer marks a byte of 123 at its first address and nothing else", "[boot_timer]") {
    FakeMarks marks;
    BootTimer timer(marks);
    write8(timer, 0, 122);
    write8(timer, 1, 123);
    timer.io_write({0, 2}, 123);
    timer.io_write({0, 4}, 123);
    CHECK(marks.values.empty());
    write8(timer, 0, 123);
    CHECK(marks.values == std::vector<u32>{123});
    CHECK(read8(timer, 0) == 0xff);
    CHECK(hammer(timer, 0x1000) == 0);
    timer.reset();
    CHECK(timer.state().marks == 0);
}

TEST_CASE("i8042 reads as absent", "[i8042]") {
    FakeVerdicts verdicts;
    I8042 i8042(verdicts);
    for (int i = 0; i < 32; ++i) CHECK(read8(i8042, 4) == 0xff);
    CHECK(read8(i8042, 0) == 0xff);
    CHECK(verdicts.verdicts.empty());
}

TEST_CASE("i8042 lets every loop on its status end", "[i8042]") {
    FakeVerdicts verdicts;
    I8042 i8042(verdicts);
    int reads = 0;
    while ((read8(i8042, 4) & 0x02) != 0 && reads < 1000) ++reads;
    CHECK(reads < 100);
    reads = 0;
    while ((read8(i8042, 4) & 0x01) != 0 && reads < 1000) {
        (void)read8(i8042, 0);
        ++reads;
    }
    CHECK(reads < 100);
}

TEST_CASE("i8042 resets by command 0xfe", "[i8042]") {
    FakeVerdicts verdicts;
    I8042 i8042(verdicts);
    write8(i8042, 4, 0xff);  // pulses nothing
    write8(i8042, 4, 0xaa);
    write8(i8042, 0, 0xfe);  // data, not a command
    CHECK(verdicts.verdicts.empty());
    write8(i8042, 4, 0xfe);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Reset});
}

TEST_CASE("i8042 resets by its output port", "[i8042]") {
    FakeVerdicts verdicts;
    I8042 i8042(verdicts);
    write8(i8042, 4, 0xd1);
    write8(i8042, 0, 0xdf);  // A20 on, reset line high
    write8(i8042, 0, 0x00);  // no command before it
    write8(i8042, 4, 0xd1);
    write8(i8042, 4, 0xad);  // another command takes its place
    write8(i8042, 0, 0x00);
    CHECK(verdicts.verdicts.empty());
    write8(i8042, 4, 0xd1);
    write8(i8042, 0, 0xde);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Reset});
}

TEST_CASE("i8042 survives any access and a reset in the middle of a command", "[i8042]") {
    FakeVerdicts verdicts;
    I8042 i8042(verdicts);
    CHECK(hammer(i8042, 1, 0) == 0);
    CHECK(hammer(i8042, 1, 4) == 0);
    verdicts.verdicts.clear();
    write8(i8042, 4, 0xd1);
    i8042.reset();
    write8(i8042, 0, 0x00);
    CHECK(verdicts.verdicts.empty());
}

TEST_CASE("0xcf9 resets when RST_CPU rises", "[reset_control]") {
    FakeVerdicts verdicts;
    ResetControl control(verdicts);
    CHECK(read8(control, 0) == 0);
    write8(control, 0, 0x02);
    CHECK(read8(control, 0) == 0x02);
    CHECK(verdicts.verdicts.empty());
    write8(control, 0, 0x06);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Reset});
    write8(control, 0, 0x06);
    CHECK(verdicts.verdicts.size() == 1);
    write8(control, 0, 0xff);
    CHECK(read8(control, 0) == 0x0e);
}

TEST_CASE("0xcf9 treats a CPU reset as a reset", "[reset_control]") {
    FakeVerdicts verdicts;
    ResetControl control(verdicts);
    write8(control, 0, 0x04);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Reset});
    control.reset();
    CHECK(read8(control, 0) == 0);
    CHECK(hammer(control, 1) == 0);
}

TEST_CASE("pvpanic shows the events that it supports", "[pvpanic]") {
    FakeVerdicts verdicts;
    Pvpanic pvpanic(verdicts);
    CHECK(read8(pvpanic, 0) == 0x03);
    CHECK(hammer(pvpanic, 1) == 0);
}

TEST_CASE("pvpanic ends the machine on a panic and notes a loaded crash kernel", "[pvpanic]") {
    FakeVerdicts verdicts;
    Pvpanic pvpanic(verdicts);
    write8(pvpanic, 0, 0x02);
    CHECK(pvpanic.state().is_crash_loaded);
    CHECK(verdicts.verdicts.empty());
    write8(pvpanic, 0, 0xf0);
    CHECK(verdicts.verdicts.empty());
    write8(pvpanic, 0, 0x01);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Panic});
    pvpanic.reset();
    CHECK_FALSE(pvpanic.state().is_crash_loaded);
}

TEST_CASE("port 0x92 has the A20 gate open, reads back, and resets when its lowest bit rises",
          "[system_control_a]") {
    FakeVerdicts verdicts;
    SystemControlA control(verdicts);
    CHECK(read8(control, 0) == 0x02);
    write8(control, 0, 0x00);
    CHECK(read8(control, 0) == 0x00);
    write8(control, 0, 0xfe);
    CHECK(read8(control, 0) == 0x02);
    control.io_write({0, 2}, 0xffff);  // too wide
    CHECK(verdicts.verdicts.empty());
    write8(control, 0, 0x03);
    CHECK(verdicts.verdicts == std::vector<Verdict>{Verdict::Reset});
    CHECK(read8(control, 0) == 0x03);
    write8(control, 0, 0x03);
    CHECK(verdicts.verdicts.size() == 1);
    control.reset();
    CHECK(read8(control, 0) == 0x02);
    CHECK(hammer(control, 4) == 0);
}
