// SPDX-License-Identifier: Apache-2.0
// Kernels that write the same to the serial port and the debug console, by characters or lines, either one
// first; and kernels that write different texts there.
#include "vmm/machine/console/debug_hold.h"

#include <string_view>

#include <catch2/catch.hpp>

#include "tests/support/device_fakes.h"

using namespace mayfly;

namespace {

u64 now_ns = 0;

struct Rig {
    FakeSink sink;
    DebugHold hold{sink, [] { return now_ns; }};

    Rig() { now_ns = 5 * DebugHold::kHoldNs; }
    void serial(std::string_view text) {
        for (const char c : text) hold.put_serial(static_cast<u8>(c));
    }
    void debug(std::string_view text) {
        for (const char c : text) hold.put_debug(static_cast<u8>(c));
    }
    const std::string& end() {
        hold.give_up();
        return sink.text;
    }
};

}  // namespace

TEST_CASE("text written to both, a character at a time, is shown once", "[debug_hold]") {
    constexpr std::string_view kText = "SOT\n\nbooting\ndone\nlogin: ";
    Rig debug_first;
    Rig serial_first;
    for (const char c : kText) {
        debug_first.debug({&c, 1});
        debug_first.serial({&c, 1});
        serial_first.serial({&c, 1});
        serial_first.debug({&c, 1});
    }
    CHECK(debug_first.end() == kText);
    CHECK(serial_first.end() == kText);
}

TEST_CASE("text written to both, a line or more at a time, is shown once", "[debug_hold]") {
    Rig rig;
    rig.debug("first\n");
    rig.serial("first\r\n");
    rig.serial("second\r\n");
    rig.debug("second\n");
    rig.debug("a\nb\nc");
    rig.serial("a\nb\nc");
    rig.serial(" d\ne\n");
    rig.debug(" d\ne\n");
    CHECK(rig.sink.text == "first\r\nsecond\r\na\nb\nc d\ne\n");
    CHECK_FALSE(rig.hold.held_since_ns());
}

TEST_CASE("each line of the serial port replaces one of the debug console", "[debug_hold]") {
    Rig rig;
    rig.serial("tick\n");
    rig.debug("tick\ntick\n");
    CHECK(rig.sink.text == "tick\n");
    CHECK(rig.end() == "tick\ntick\n");
}

TEST_CASE("a part of a line that the serial port printed does not count as a line", "[debug_hold]") {
    Rig rig;
    rig.serial("status 100\n");
    rig.debug("100\n");
    CHECK(rig.end() == "status 100\n100\n");
}

TEST_CASE("lines of the debug console alone are shown in order", "[debug_hold]") {
    Rig rig;
    rig.debug("before\n");
    CHECK(rig.sink.text.empty());
    rig.serial("one\n");
    rig.debug("between\n");
    rig.serial("two\n");
    rig.debug("both\n");
    rig.serial("both\n");
    rig.debug("after\n");
    CHECK(rig.end() == "before\none\nbetween\ntwo\nboth\nafter\n");
}

TEST_CASE("a line that only begins alike is not split", "[debug_hold]") {
    Rig rig;
    rig.debug("debug\n");
    rig.serial("done");
    CHECK(rig.sink.text == "done");
    rig.serial("\nnext\n");
    CHECK(rig.sink.text == "done\ndebug\nnext\n");
}

TEST_CASE("the serial port's own lines do not cause the others to be shown twice", "[debug_hold]") {
    Rig rig;
    rig.serial("banner\nhello\nmore\nworld\n");
    rig.debug("hello\nworld\n");
    rig.serial("prompt: ");
    rig.debug("in both\n");
    rig.serial("in both\n");
    CHECK(rig.end() == "banner\nhello\nmore\nworld\nprompt: in both\n");
}

TEST_CASE("giving up shows the part that the serial port has not printed", "[debug_hold]") {
    Rig rig;
    CHECK_FALSE(rig.hold.held_since_ns());
    rig.debug("login: root");
    CHECK(rig.hold.held_since_ns() == now_ns);
    rig.serial("login: ");
    CHECK(rig.end() == "login: root");
    CHECK_FALSE(rig.hold.held_since_ns());
    rig.debug("only here");
    CHECK(rig.end() == "login: rootonly here");
}

TEST_CASE("a hold begins anew after a matched line", "[debug_hold]") {
    Rig rig;
    rig.debug("a\nb\n");
    now_ns += DebugHold::kHoldNs / 2;
    rig.serial("a\n");
    CHECK(rig.hold.held_since_ns() == now_ns);
}

TEST_CASE("an old line matches nothing", "[debug_hold]") {
    Rig rig;
    rig.debug("x\n");
    rig.serial("x\nready\n");
    now_ns += DebugHold::kHoldNs;
    rig.debug("ready\n");
    CHECK(rig.end() == "x\nready\nready\n");
}

TEST_CASE("a flood is held up to a limit, and none of it is lost", "[debug_hold]") {
    Rig rig;
    const std::string flood(3 * DebugHold::kHeldMax + 7, 'x');
    rig.debug(flood);
    CHECK(rig.sink.text.size() == 3 * DebugHold::kHeldMax);
    CHECK(rig.end() == flood);
    const std::string lines(2 * DebugHold::kHeldMax, '\n');
    rig.serial(lines);
    rig.debug("z\n");
    rig.serial("z\n");
    CHECK(rig.end() == flood + lines + "z\n");
}

TEST_CASE("the last half line or more of a lone serial port is remembered", "[debug_hold]") {
    Rig rig;
    for (int i = 0; i < 1000; ++i) rig.serial("alone\n");
    rig.serial("together\n");
    rig.debug("together\n");
    CHECK_FALSE(rig.hold.held_since_ns());
}

TEST_CASE("at most 64 KiB of a flooding serial port are remembered", "[debug_hold]") {
    for (const bool is_beyond : {false, true}) {
        Rig rig;
        rig.debug("begun\n");
        rig.serial("begun\nonce\n");
        const std::string lines(is_beyond ? DebugHold::kHeldMax : DebugHold::kHeldMax / 4, '\n');
        rig.serial(lines);
        rig.debug("once\n");
        CHECK(rig.end() == "begun\nonce\n" + lines + (is_beyond ? "once\n" : ""));
    }
}

TEST_CASE("before the debug console's first byte half a KiB of the serial port is remembered",
          "[debug_hold]") {
    Rig rig;
    const std::string lines(DebugHold::kHistoryMax, '\n');
    rig.serial("once\n" + lines);
    rig.debug("once\n");
    CHECK(rig.end() == "once\n" + lines + "once\n");
}
