// SPDX-License-Identifier: Apache-2.0
#include "vmm/os/output_file.h"

#include <csignal>
#include <cstdlib>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/watch/scratch_file.h"

using namespace mayfly;

namespace {

bool patient() { return false; }

Result<void> report_to(const std::string& name, std::string_view text) {
    const Result<ReportFile> file = ReportFile::open(name);
    if (!file) return fail(file.error());
    return file->write(text, patient);
}

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

std::string listing(const ScratchDirectory& scratch) {
    const std::string command = "ls -A " + scratch.path() + " > /tmp/mayfly-listing-$PPID";
    REQUIRE(std::system(command.c_str()) == 0);
    const std::string list = "/tmp/mayfly-listing-" + std::to_string(::getpid());
    std::string names = contents(list);
    ::unlink(list.c_str());
    return names;
}

}  // namespace

TEST_CASE("a report appears only when it is written, without other files") {
    const ScratchDirectory scratch;
    const Result<ReportFile> file = ReportFile::open(scratch.file("report"));
    REQUIRE(file);
    CHECK(listing(scratch).empty());
    REQUIRE(file->write("<new/>", patient));
    CHECK(contents(scratch.file("report")) == "<new/>");
    CHECK(listing(scratch) == "report\n");
}

TEST_CASE("a report replaces an older file as a whole and keeps its mode; a fresh one has the umask's") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("report");
    std::ofstream(path) << std::string(1000, 'x');
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    REQUIRE(::link(path.c_str(), scratch.file("other").c_str()) == 0);
    const Result<ReportFile> file = ReportFile::open(path);
    REQUIRE(file);
    CHECK(contents(path) == std::string(1000, 'x'));
    REQUIRE(file->write("<new/>", patient));
    CHECK(contents(path) == "<new/>");
    CHECK(contents(scratch.file("other")) == std::string(1000, 'x'));
    CHECK((status_of(path).st_mode & 07777) == 0640);
    const mode_t before = ::umask(027);
    REQUIRE(report_to(scratch.file("fresh"), "x"));
    ::umask(before);
    CHECK((status_of(scratch.file("fresh")).st_mode & 07777) == 0640);
    CHECK(listing(scratch) == "fresh\nother\nreport\n");
}

TEST_CASE("a report's link stays one: its target is replaced, or made") {
    const ScratchDirectory scratch;
    std::ofstream(scratch.file("target")) << "old";
    REQUIRE(::symlink("target", scratch.file("link").c_str()) == 0);
    REQUIRE(::symlink("link", scratch.file("second").c_str()) == 0);
    REQUIRE(report_to(scratch.file("second"), "<new/>"));
    CHECK(S_ISLNK(status_of(scratch.file("link")).st_mode));
    CHECK(contents(scratch.file("target")) == "<new/>");
    REQUIRE(::unlink(scratch.file("target").c_str()) == 0);
    REQUIRE(report_to(scratch.file("second"), "<newer/>"));
    CHECK(contents(scratch.file("target")) == "<newer/>");
}

TEST_CASE("a report into a device keeps the device, and a full one is an error with its name") {
    REQUIRE(report_to("/dev/null", "<new/>"));
    CHECK(S_ISCHR(status_of("/dev/null").st_mode));
    const Result<void> full = report_to("/dev/full", "<new/>");
    REQUIRE_FALSE(full);
    CHECK_THAT(full.error().message(), Catch::Contains("/dev/full"));
}

TEST_CASE("a place that cannot take a report is refused in advance") {
    const ScratchDirectory scratch;
    const auto refusal = [](const std::string& name) {
        const Result<ReportFile> file = ReportFile::open(name);
        REQUIRE_FALSE(file);
        CHECK_THAT(file.error().message(), Catch::Contains(name));
        return file.error().message();
    };
    CHECK_THAT(refusal(scratch.file("no/such")), Catch::Contains("No such file"));
    CHECK_THAT(refusal(scratch.path()), Catch::Contains("Is a directory"));
    CHECK_THAT(refusal(scratch.file("report/")), Catch::Contains("Is a directory"));
    (void)refusal("/proc/report");
    REQUIRE(::symlink("loop", scratch.file("loop").c_str()) == 0);
    (void)refusal(scratch.file("loop"));
    CHECK(listing(scratch) == "loop\n");
}

TEST_CASE("a descriptor that was handed over is used as it is, and its file's content kept") {
    const ScratchDirectory scratch;
    const int fd = ::open(scratch.file("file").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, "before ", 7) == 7);
    const std::string name = "/dev/fd/" + std::to_string(fd);
    REQUIRE(report_to(name, "report "));
    Result<UniqueFd> stream = open_stream("/proc/self/fd/" + std::to_string(fd), StreamStart::Afresh);
    REQUIRE(stream);
    REQUIRE(::write(stream->get(), "stream", 6) == 6);
    CHECK(contents(scratch.file("file")) == "before report stream");
    // A descriptor of ours is not one that was handed over.
    REQUIRE(::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0);
    CHECK_FALSE(ReportFile::open(name));
    CHECK_FALSE(open_stream(name, StreamStart::Append));
    ::close(fd);
    const int reader = ::open(scratch.file("file").c_str(), O_RDONLY);
    CHECK_FALSE(ReportFile::open("/dev/fd/" + std::to_string(reader)));
    ::close(reader);
    CHECK_FALSE(ReportFile::open("/dev/fd/" + std::to_string(reader)));
}

TEST_CASE("a stream is truncated or appended to, and does not wait for a FIFO's reader") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("stream");
    const auto put = [&](StreamStart start, std::string_view text) {
        Result<UniqueFd> file = open_stream(path, start);
        REQUIRE(file.has_value());
        if (start == StreamStart::Afresh) REQUIRE(start_afresh(*file, path).has_value());
        REQUIRE(file);
        REQUIRE(::write(file->get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    };
    put(StreamStart::Append, "one ");
    put(StreamStart::Append, "two");
    CHECK(contents(path) == "one two");
    put(StreamStart::Afresh, "three");
    CHECK(contents(path) == "three");
    REQUIRE(::mkfifo(scratch.file("fifo").c_str(), 0600) == 0);
    const Result<UniqueFd> fifo = open_stream(scratch.file("fifo"), StreamStart::Afresh);
    REQUIRE_FALSE(fifo);
    CHECK_THAT(fifo.error().message(), Catch::Contains("nobody reads"));
}

TEST_CASE("a FIFO may get its reader after the check of the report's place, but needs one") {
    const ScratchDirectory scratch;
    REQUIRE(::mkfifo(scratch.file("fifo").c_str(), 0600) == 0);
    const Result<ReportFile> file = ReportFile::open(scratch.file("fifo"));
    REQUIRE(file);
    const Result<void> unread = file->write("x", patient);
    REQUIRE_FALSE(unread);
    CHECK_THAT(unread.error().message(), Catch::Contains("nobody reads") && Catch::Contains("fifo"));
    const int reader = ::open(scratch.file("fifo").c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(file->write("<new/>", patient));
    char text[16];
    CHECK(::read(reader, text, sizeof text) == 6);
    ::close(reader);
}

TEST_CASE("a stalled reader of a FIFO ends a report's writing once mayfly has to end") {
    const ScratchDirectory scratch;
    const std::string path = scratch.file("fifo");
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK);
    REQUIRE(reader >= 0);
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval often{{0, 10'000}, {0, 10'000}};
    const Result<ReportFile> file = ReportFile::open(path);
    REQUIRE(file);
    ::setitimer(ITIMER_REAL, &often, nullptr);
    int asked = 0;
    const Result<void> stalled = file->write(std::string(1 << 20, 'x'), [&] { return ++asked == 3; });
    const itimerval never{};
    ::setitimer(ITIMER_REAL, &never, nullptr);
    REQUIRE_FALSE(stalled);
    CHECK_THAT(stalled.error().message(), Catch::Contains("its reader has stalled"));
    CHECK(asked == 3);
    ::close(reader);
}
