// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/line_hold.h"

#include <array>
#include <atomic>
#include <csignal>
#include <string>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/machine/console/console.h"
#include "vmm/machine/lifecycle/run_control.h"
#include "vmm/os/clock.h"

using namespace mayfly;

namespace {

std::atomic<u32> kicks = 0;

/// A pipe, and kicks of this thread counted.
class Reader {
  public:
    Reader() {
        REQUIRE(::pipe2(ends_.data(), O_CLOEXEC | O_NONBLOCK) == 0);
        struct sigaction action {};
        action.sa_handler = [](int) { ++kicks; };
        REQUIRE(::sigaction(kick_signal(), &action, &before_) == 0);
        kicks = 0;
    }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    ~Reader() {
        ::sigaction(kick_signal(), &before_, nullptr);
        for (const int end : ends_) ::close(end);
    }

    [[nodiscard]] int fd() const { return ends_[1]; }
    [[nodiscard]] std::string seen() const {
        std::array<char, 4096> bytes{};
        const ssize_t size = ::read(ends_[0], bytes.data(), bytes.size());
        return size > 0 ? std::string(bytes.data(), static_cast<std::size_t>(size)) : std::string();
    }

  private:
    std::array<int, 2> ends_{};
    struct sigaction before_ {};
};

void wait_ms(u64 milliseconds) {
    const u64 end = monotonic_ns() + milliseconds * 1'000'000;
    while (monotonic_ns() < end) ::poll(nullptr, 0, 1);
}

void put(ConsoleOutput& output, std::string_view text) {
    for (const char c : text) output.put(static_cast<u8>(c));
    output.flush_lines();
}

}  // namespace

TEST_CASE("whole lines are written at once, and the beginning of one waits", "[line_hold]") {
    const Reader reader;
    StopControl stop;
    ConsoleOutput output(reader.fd(), stop);
    put(output, "one\ntwo\nthr");
    CHECK(reader.seen() == "one\ntwo\n");
    put(output, "ee\n");
    CHECK(reader.seen() == "three\n");
}

TEST_CASE("the beginning of a line is written after a wait, by a kick of its thread", "[line_hold]") {
    const Reader reader;
    StopControl stop;
    ConsoleOutput output(reader.fd(), stop);
    put(output, "login: ");
    output.look();
    CHECK(reader.seen().empty());
    while (kicks == 0) ::poll(nullptr, 0, 1000);
    wait_ms(LineHold::kHoldNs / 1'000'000);
    output.look();
    CHECK(reader.seen() == "login: ");
    // Nothing is held: no thread is kicked any more.
    const u32 before = kicks;
    wait_ms(3 * LineHold::kHoldNs / 1'000'000);
    CHECK(kicks == before);
}

TEST_CASE("after a flush at the end no thread is kicked", "[line_hold]") {
    const Reader reader;
    StopControl stop;
    ConsoleOutput output(reader.fd(), stop);
    put(output, "no line end");
    output.flush();
    CHECK(reader.seen() == "no line end");
    const u32 before = kicks;
    wait_ms(3 * LineHold::kHoldNs / 1'000'000);
    CHECK(kicks == before);
}
