// SPDX-License-Identifier: Apache-2.0
// One child: its stamp, its end, its descriptors, and the end of its own children.
#include "vmm/process/process.h"

#include <array>
#include <cerrno>
#include <csignal>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/os/clock.h"
#include "vmm/process/program_path.h"

using namespace mayfly;

namespace {

Process shell(const char* script, bool is_forked, const ProcessFiles& files = {}) {
    return Process::start("/bin/sh", {"sh", "-c", script}, files, is_forked).value();
}

}  // namespace

TEST_CASE("a process is stamped between start and end, and its status is its own", "[process]") {
    for (const bool is_forked : {false, true}) {
        const u64 before = monotonic_ns();
        const Process process = shell("exit 7", is_forked);
        const Process::End end = process.reap();
        CHECK(WIFEXITED(end.wait_status));
        CHECK(WEXITSTATUS(end.wait_status) == 7);
        CHECK(end.birth.exec_errno == 0);
        CHECK(end.birth.exec_ns > before);
        CHECK(end.birth.exec_ns < monotonic_ns());
        CHECK(end.usage.ru_maxrss > 0);
    }
}

TEST_CASE("a program that cannot be executed is an error with the reason", "[process]") {
    for (const bool is_forked : {false, true}) {
        const Process process = Process::start("/etc/passwd", {"x"}, {}, is_forked).value();
        CHECK(process.reap().birth.exec_errno == EACCES);
    }
}

TEST_CASE("a signal reaches the whole group", "[process]") {
    const Process process = shell("sleep 100 & sleep 100", false);
    pollfd over{process.pidfd().get(), POLLIN, 0};
    CHECK(::poll(&over, 1, 50) == 0);
    process.signal(SIGKILL);
    CHECK(::poll(&over, 1, 10'000) == 1);
    CHECK(WTERMSIG(process.reap().wait_status) == SIGKILL);
}

TEST_CASE("signals that we ignore are not ignored by a process", "[process]") {
    struct sigaction ignored {};
    struct sigaction before {};
    ignored.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignored, &before);
    for (const bool is_forked : {false, true})
        CHECK(WTERMSIG(shell("kill -PIPE $$; sleep 100", is_forked).reap().wait_status) == SIGPIPE);
    ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("processes that a process leaves behind are ended with it", "[process]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const Process process = shell("sleep 100 &", false, {.output = ends[1]});
    ::close(ends[1]);
    (void)process.reap();
    // The sleeping child holds the pipe's other end until it is gone.
    pollfd hung_up{ends[0], POLLIN, 0};
    CHECK(::poll(&hung_up, 1, 10'000) == 1);
    CHECK((hung_up.revents & POLLHUP) != 0);
    ::close(ends[0]);
}

TEST_CASE("descriptors beyond the standard ones have their numbers, and no others are handed down",
          "[process]") {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const int high = ::fcntl(ends[1], F_DUPFD_CLOEXEC, kHandedFdMin);
    const Process process = shell(
        "echo here >&3; { : >&4; } 2>/dev/null && echo four >&3; "
        "{ : >&10; } 2>/dev/null && echo ten >&3; exit 0",
        false, {.third = high});
    (void)process.reap();
    std::array<char, 64> text{};
    CHECK(::read(ends[0], text.data(), text.size()) == 5);
    CHECK(std::string_view(text.data(), 5) == "here\n");
    ::close(high);
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a program is found along PATH, or is a file that can be executed", "[process]") {
    CHECK(find_program("sh").value().ends_with("/sh"));
    CHECK(find_program("/bin/sh").value() == "/bin/sh");
    for (const char* word : {"no-such-program-anywhere", "/etc/passwd", "/tmp", "/no/such/file", ""})
        CHECK_FALSE(find_program(word));
}
