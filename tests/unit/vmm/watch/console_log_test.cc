// SPDX-License-Identifier: Apache-2.0
#include "vmm/watch/console_log.h"

#include <chrono>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/watch/scratch_file.h"
#include "vmm/os/output_file.h"

using namespace mayfly;

namespace {

Result<ConsoleLog> open_log(const std::string& path, u64 max_bytes = 1 << 20, bool should_give_up = false) {
    Result<UniqueFd> file = open_stream(path, StreamStart::Afresh);
    if (!file) return fail(file.error());
    if (const Result<void> emptied = start_afresh(*file, path); !emptied) return fail(emptied.error());
    return ConsoleLog(
        {.path = path, .max_bytes = max_bytes, .should_give_up = [=] { return should_give_up; }},
        std::move(*file));
}

void put_line(ConsoleLog& log, u64 at_ns, std::string_view text) {
    log.begin_line(at_ns);
    log.put(text);
    log.end_line();
}

}  // namespace

TEST_CASE("each line of the log begins with its time, as dmesg writes it") {
    const ScratchDirectory scratch;
    Result<ConsoleLog> log = open_log(scratch.file("log"));
    REQUIRE(log);
    put_line(*log, 123'456'789, "one");
    put_line(*log, 12'345'000'999'000, "two");
    log->begin_line(1'000);
    log->put("unfin");
    log->put("ished");
    log->finish();
    CHECK(contents(scratch.file("log")) ==
          "[    0.123456] one\n[12345.000999] two\n[    0.000001] unfinished\n");
    CHECK(log->lost_bytes() == 0);
    CHECK(log->why_lost().empty());
}

TEST_CASE("a log replaces the file's content, and is visible before it is finished") {
    const ScratchDirectory scratch;
    std::ofstream(scratch.file("log")) << std::string(1000, 'x');
    Result<ConsoleLog> log = open_log(scratch.file("log"));
    REQUIRE(log);
    CHECK(contents(scratch.file("log")).empty());
    put_line(*log, 0, "one");
    log->flush();
    CHECK(contents(scratch.file("log")) == "[    0.000000] one\n");
}

TEST_CASE("a log that has reached its limit says so, and at its end how much is missing") {
    const ScratchDirectory scratch;
    Result<ConsoleLog> log = open_log(scratch.file("log"), 64);
    REQUIRE(log);
    const std::string text(30, 'a');  // 46 bytes with prefix and LF
    put_line(*log, 0, text);
    put_line(*log, 1'000'000, "bbbbbbbb");
    put_line(*log, 2'000'000, "ccc");
    log->finish();
    CHECK(contents(scratch.file("log")) ==
          "[    0.000000] " + text +
              "\n[    0.001000] bbb\n"
              "[    0.001000] mayfly: the log ends here: --log-limit 64 bytes "
              "was reached\n"
              "[    0.002000] mayfly: 10 bytes of the console are not in this log\n");
    CHECK(log->lost_bytes() == 10);  // bbbbb, LF, ccc, LF
    CHECK(log->why_lost() == "--log-limit 64 bytes was reached");
}

TEST_CASE("whatever the limit, each byte is in the log or counted as lost") {
    for (u64 limit = 0; limit < 120; ++limit) {
        const ScratchDirectory scratch;
        Result<ConsoleLog> log = open_log(scratch.file("log"), limit);
        REQUIRE(log);
        for (const char* text : {"QQQQQQQ", "", "QQQQQQQQQQQQQQQQQQQQQQ", "Q"}) put_line(*log, 0, text);
        log->finish();
        const std::string there = contents(scratch.file("log"));
        const auto kept = std::count(there.begin(), there.end(), 'Q');
        CHECK(log->lost_bytes() >= 30U - static_cast<u64>(kept));
        CHECK(log->lost_bytes() <= 34U - static_cast<u64>(kept));
    }
}

TEST_CASE("a full disk stops the log, and the missing bytes are counted") {
    Result<ConsoleLog> log = open_log("/dev/full");
    REQUIRE(log);
    put_line(*log, 0, "one");
    log->flush();
    put_line(*log, 0, "two");
    log->finish();
    CHECK(log->lost_bytes() == 8);
    CHECK_THAT(log->why_lost(), Catch::Contains("/dev/full") && Catch::Contains("No space left"));
}

TEST_CASE("a log's file that cannot be opened is an error with its path") {
    const ScratchDirectory scratch;
    const Result<ConsoleLog> log = open_log(scratch.file("no/such"));
    REQUIRE_FALSE(log);
    CHECK_THAT(log.error().message(), Catch::Contains("/no/such"));
}

TEST_CASE("a FIFO that nobody reads is an error, not a wait") {
    const ScratchDirectory scratch;
    REQUIRE(::mkfifo(scratch.file("fifo").c_str(), 0600) == 0);
    CHECK_FALSE(open_log(scratch.file("fifo")));
}

TEST_CASE("a FIFO whose reader has stalled does not keep mayfly from ending") {
    const ScratchDirectory scratch;
    REQUIRE(::mkfifo(scratch.file("fifo").c_str(), 0600) == 0);
    const int reader = ::open(scratch.file("fifo").c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
    Result<ConsoleLog> log = open_log(scratch.file("fifo"), 1 << 20, true);
    REQUIRE(log);
    const std::string text(1000, 'x');
    for (int i = 0; i < 200; ++i) put_line(*log, 0, text);
    log->finish();
    std::string got(1 << 20, '\0');
    const ssize_t bytes = ::read(reader, got.data(), got.size());
    REQUIRE(bytes > 0);
    const auto kept = std::count(got.begin(), got.begin() + bytes, 'x');
    CHECK(kept > 0);
    CHECK(log->lost_bytes() >= 200'000U - static_cast<u64>(kept));
    CHECK(log->lost_bytes() <= 200'200U);
    ::close(reader);
}
