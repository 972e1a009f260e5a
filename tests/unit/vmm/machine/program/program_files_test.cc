// SPDX-License-Identifier: Apache-2.0
// The files that an init sends, and the ending of a machine that depends on them.
#include "vmm/machine/program/program_files.h"

#include <csignal>
#include <filesystem>
#include <fstream>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/machine/copy_out/records.h"
#include "tests/unit/vmm/machine/program/fake_init.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr u64 kExited0 = 0xe1000000;
constexpr u64 kExited3 = 0xe1000003;
constexpr u64 kSignalled9 = 0xe2000009;
constexpr u64 kInitFailed = 0xe3050002;

const Record kTop{.kind = kDirectory, .mode = 040755};

class Copying {
  public:
    Copying()
        : path_(std::filesystem::temp_directory_path() / ("mayfly-files-" + std::to_string(::getpid()))) {
        // Like mayfly's own handlers: a signal ends a wait, and does nothing else.
        std::signal(kick_signal(), [](int) {});
        std::filesystem::remove_all(path_);
        std::filesystem::create_directory(path_);
        REQUIRE(files_.open().has_value());
        REQUIRE(channel_.open(init_.frame()));
        REQUIRE(files_.start().has_value());
    }
    Copying(const Copying&) = delete;
    Copying& operator=(const Copying&) = delete;
    ~Copying() {
        files_.reader().end();
        std::filesystem::remove_all(path_);
    }

    void send(const std::string& bytes) {
        // Fills the ring's room, again and again.
        for (std::size_t at = 0; at < bytes.size() && !is_left();) {
            const channel::Ring& ring = init_.ring(RingName::Files);
            const u32 used = ring.producer.count - __atomic_load_n(&ring.consumer.count, __ATOMIC_ACQUIRE);
            const std::string piece = bytes.substr(at, 64 * kFrame - used);
            init_.put(RingName::Files, piece);
            at += piece.size();
            files_.reader().on_doorbell();
            if (piece.empty()) ::usleep(100);
        }
    }
    [[nodiscard]] bool is_left() const {
        return __atomic_load_n(&init_.ring(RingName::Files).consumer.is_over, __ATOMIC_ACQUIRE) != 0;
    }
    /// The machine has ended this way.
    Ending end(EndKind kind, u64 value) {
        stop_.end({kind, value, ""});
        files_.reader().begin_to_finish();
        files_.reader().await_end();
        return files_.judged(stop_.ending());
    }
    [[nodiscard]] std::string content(const std::string& name) const {
        std::ifstream file(path_ / name, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void set_turn(bool is_turn) { is_turn_ = is_turn; }
    [[nodiscard]] StopControl& stop() { return stop_; }
    [[nodiscard]] int begun() const { return begun_; }
    Init& init() { return init_; }

  private:
    const std::filesystem::path path_;
    Init init_{};
    StopControl stop_{};
    ProgramChannel channel_{init_.memory(), [] {}};
    int begun_ = 0;
    std::atomic<bool> is_turn_ = true;
    ProgramFiles files_{{{.guest = "/out", .host = path_ / "out"}},
                        {channel_, stop_},
                        {.is_turn = [this] { return is_turn_.load(); }, .on_begin = [this] { ++begun_; }}};
};

std::string file(const std::string& path, const std::string& text) {
    std::string bytes = Record{.kind = kFile, .path = path}.bytes();
    for (std::size_t at = 0; at < text.size(); at += 65'536)
        bytes += Record{.kind = kData, .data = text.substr(at, 65'536), .value = at}.bytes();
    return bytes + Record{.kind = kFileEnd, .value = text.size()}.bytes();
}

}  // namespace

TEST_CASE("files come whole, and the program's status stays") {
    for (const u64 report : {kExited0, kExited3, kSignalled9}) {
        Copying copying;
        std::string large(3'000'000, ' ');
        for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 7 % 251);
        copying.send(kTop.bytes() + file("large", large) + file("small", "s"));
        copying.send(Record{.kind = kEnd}.bytes());
        const Ending ending = copying.end(EndKind::ProgramEnded, report);
        CHECK(ending.kind == EndKind::ProgramEnded);
        CHECK(ending.value == report);
        CHECK(copying.content("out/large") == large);
        CHECK(copying.content("out/small") == "s");
        CHECK(copying.begun() == 1);
    }
}

TEST_CASE("files wait for their turn") {
    Copying copying;
    copying.set_turn(false);
    copying.send(kTop.bytes() + file("small", "s") + Record{.kind = kEnd}.bytes());
    ::usleep(20'000);
    CHECK(copying.begun() == 0);
    copying.set_turn(true);
    CHECK(copying.end(EndKind::ProgramEnded, kExited0).kind == EndKind::ProgramEnded);
    CHECK(copying.content("out/small") == "s");
}

TEST_CASE("files that were not sent fail the boot, whatever the status") {
    for (const u64 report : {kExited0, kExited3}) {
        Copying copying;
        copying.send(kTop.bytes() + file("small", "s"));
        const Ending ending = copying.end(EndKind::ProgramEnded, report);
        CHECK(ending.kind == EndKind::HostError);
        CHECK(ending.message == "the guest's init did not send all files of --copy-out");
    }
    Copying none;
    CHECK(none.end(EndKind::ProgramEnded, kExited0).kind == EndKind::HostError);
}

TEST_CASE("another ending of a guest is unchanged") {
    for (const EndKind kind : {EndKind::Panic, EndKind::Timeout, EndKind::Signal, EndKind::Unreported}) {
        Copying copying;
        copying.send(kTop.bytes());
        CHECK(copying.end(kind, 5).kind == kind);
    }
    Copying copying;
    CHECK(copying.end(EndKind::ProgramEnded, kInitFailed).kind == EndKind::ProgramEnded);
}

TEST_CASE("an unreadable file makes a success a failure, and keeps a failure") {
    const std::string sent = kTop.bytes() + Record{.kind = kProblem, .path = "x", .value = 5}.bytes() +
                             Record{.kind = kEnd}.bytes();
    Copying success;
    success.send(sent);
    const Ending ending = success.end(EndKind::ProgramEnded, kExited0);
    CHECK(ending.kind == EndKind::HostError);
    CHECK(ending.message == "the program succeeded, but not all of its files were copied out");
    Copying failure;
    failure.send(sent);
    CHECK(failure.end(EndKind::ProgramEnded, kExited3).value == kExited3);
}

TEST_CASE("a failing host tells init, and does not wait for the rest") {
    Copying copying;
    copying.send(kTop.bytes() + file("name", "s") + file("name/below", std::string(1'000'000, 'x')) +
                 std::string(1'000'000, 'x'));
    CHECK(copying.is_left());
    CHECK_FALSE(copying.stop().is_requested());
    CHECK(copying.end(EndKind::ProgramEnded, kExited0).message ==
          "the program succeeded, but not all of its files were copied out");
}

TEST_CASE("a guest that breaks the protocol is ended, and its report ignored") {
    const std::string breaches[] = {kTop.bytes() + file("../x", "s"), kTop.bytes() + kTop.bytes(),
                                    kTop.bytes() + Record{.kind = kEnd}.bytes() + "more",
                                    std::string(40, '\xff')};
    for (const std::string& broken : breaches) {
        Copying while_running;
        while_running.send(broken);
        for (int tries = 0; tries < 10'000 && !while_running.stop().is_requested(); ++tries) ::usleep(1000);
        REQUIRE(while_running.stop().is_requested());
        CHECK(while_running.stop().ending().kind == EndKind::HostError);
        CHECK(while_running.end(EndKind::ProgramEnded, kExited0).kind == EndKind::HostError);
        // With its report behind it, before the records are read.
        Copying at_the_end;
        at_the_end.stop().end({EndKind::ProgramEnded, kExited0, ""});
        at_the_end.send(broken);
        const Ending ending = at_the_end.end(EndKind::ProgramEnded, kExited0);
        CHECK(ending.kind == EndKind::HostError);
        CHECK(ending.message.find("in a way that its init never does") != std::string::npos);
    }
    Copying count;
    __atomic_store_n(&count.init().ring(RingName::Files).producer.count, 64 * kFrame + 1, __ATOMIC_RELEASE);
    CHECK(count.end(EndKind::ProgramEnded, kExited0).kind == EndKind::HostError);
}
