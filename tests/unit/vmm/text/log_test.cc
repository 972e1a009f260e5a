// SPDX-License-Identifier: Apache-2.0
#include "vmm/text/log.h"

#include <array>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/os/unique_fd.h"

using namespace mayfly;

namespace {

/// stderr is a pipe's end for as long as this lives.
class StderrPipe {
  public:
    StderrPipe() {
        std::array<int, 2> ends{};
        REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
        reading_ = UniqueFd::adopt(ends[0]);
        saved_ = UniqueFd::adopt(::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3));
        REQUIRE(::dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
        ::close(ends[1]);
    }
    StderrPipe(const StderrPipe&) = delete;
    StderrPipe& operator=(const StderrPipe&) = delete;
    ~StderrPipe() { give_back(); }

    [[nodiscard]] std::string read_all() const {
        std::string text;
        std::array<char, 4096> piece{};
        for (ssize_t got = 0; (got = ::read(reading_.get(), piece.data(), piece.size())) > 0;)
            text.append(piece.data(), static_cast<std::size_t>(got));
        return text;
    }
    /// Closes the last writer.
    void give_back() { ::dup2(saved_.get(), STDERR_FILENO); }

  private:
    UniqueFd reading_;
    UniqueFd saved_;
};

}  // namespace

TEST_CASE("text that does not fit into a pipe at once is written when it has room", "[log]") {
    const bool is_nonblocking = GENERATE(false, true);
    CAPTURE(is_nonblocking);
    const std::string text(300'000, 'x');
    StderrPipe pipe;
    if (is_nonblocking) REQUIRE(::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0);
    std::string read;
    std::thread reader([&] { read = pipe.read_all(); });
    log::write_stderr(text);
    pipe.give_back();
    reader.join();
    CHECK(read == text);
}

TEST_CASE("a stalled reader does not block a writer of a non-blocking pipe", "[log]") {
    StderrPipe pipe;
    REQUIRE(::fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0);
    const std::string text(300'000, 'x');
    log::write_stderr(text);
    pipe.give_back();
    const std::string read = pipe.read_all();
    CHECK_FALSE(read.empty());
    CHECK(text.starts_with(read));
}
