// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <functional>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/test_ram.h"
#include "vmm/machine/console/kernel_log.h"
#include "vmm/machine/console/panic_line.h"

using namespace mayfly;

namespace {

/// A log that no kernel writes: half a million records, each with 2 KiB of line feeds that it shares with
/// others.
struct ForgedLog {
    static constexpr u32 kBits = 19;
    static constexpr u32 kTextBits = 24;
    static constexpr u64 kRecords = u64{1} << kBits;
    static constexpr u64 kStep = (u64{1} << kTextBits) / kRecords;

    ForgedLog() {
        u64 at = KiB(4);
        place.head_id = Gpa{0};
        for (auto [member, bytes] :
             {std::pair(&place.descriptors, kRecords * 24), std::pair(&place.infos, kRecords * 88),
              std::pair(&place.text, u64{1} << kTextBits)}) {
            *member = Gpa{at};
            at += bytes;
        }
        place.count_bits = kBits;
        place.text_bits = kTextBits;
        place.first_id = 1;
        std::memset(ram.at<char>(place.text), '\n', std::size_t{1} << kTextBits);
        for (u64 id = 1; id <= kRecords; id++) {
            const u64 begin = id % kRecords * kStep;
            u64* descriptor = ram.at<u64>(place.descriptors + id % kRecords * 24);
            descriptor[0] = u64{2} << 62 | id;  // finalized
            descriptor[1] = begin;
            descriptor[2] = std::min(begin + 2056, (u64{1} << kTextBits) - 8);
            *ram.at<u16>(place.infos + id % kRecords * 88 + 16) = 2048;
            *ram.at<u64>(place.text + begin) = id;
        }
        *ram.at<u64>(place.head_id) = kRecords;
    }
    /// \returns how many bytes were printed.
    template <typename Act>
    u64 printed(bool is_stopped, Act act) {
        const int file = ::memfd_create("console", MFD_CLOEXEC);
        StopControl stop;
        ConsoleOutput output{file, stop};
        KernelLog log{place, output, stop};
        log.set_memory(ram.memory());
        if (is_stopped) stop.end({EndKind::Timeout, 3000, {}});
        act(log);
        output.flush();
        const auto bytes = static_cast<u64>(::lseek(file, 0, SEEK_END));
        ::close(file);
        return bytes;
    }

    PrintkRing place;
    TestRam ram{MiB(96)};
};

}  // namespace

TEST_CASE("a forged log of half a million records is bounded, and more so once mayfly is to end",
          "[kernel_log]") {
    constexpr u64 kPrefix = 17;  // a time, and the end of a line
    constexpr u64 kOnce = (u64{1} << ForgedLog::kTextBits) + 32 * ForgedLog::kRecords;
    ForgedLog forged;
    const auto finish = [](KernelLog& log) { log.finish(); };
    const auto give_way = [](KernelLog& log) {
        constexpr std::string_view kWords = "no record begins so";
        log.hand_over_to({reinterpret_cast<const u8*>(kWords.data()), kWords.size()});
        CHECK(log.has_handed_over());
    };
    // All of its line feeds would be printed as 17 GiB.
    CHECK(forged.printed(false, finish) <= kOnce + 100);
    CHECK(forged.printed(false, give_way) <= kOnce + 100);
    // Records with one line each: all of them, or once mayfly is to end the newest ones.
    for (u64 id = 1; id <= ForgedLog::kRecords; id++)
        *forged.ram.at<u16>(forged.place.infos + id % ForgedLog::kRecords * 88 + 16) = 0;
    CHECK(forged.printed(false, finish) >= ForgedLog::kRecords * (kPrefix - 2));
    for (const auto& act : std::initializer_list<std::function<void(KernelLog&)>>{finish, give_way}) {
        const u64 printed = forged.printed(true, act);
        CHECK(printed >= (u64{1} << 14) * (kPrefix - 2));
        CHECK(printed <= (u64{1} << 14) * (kPrefix + 2) + 100);
    }
}

TEST_CASE("a stop ends the printing of a long log", "[kernel_log]") {
    ForgedLog forged;
    for (u64 id = 1; id <= ForgedLog::kRecords; id++)
        *forged.ram.at<u16>(forged.place.infos + id % ForgedLog::kRecords * 88 + 16) = 0;
    // Nobody reads: the first full pipe would keep it forever if it ignored the stop.
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    StopControl stop;
    ConsoleOutput output{ends[1], stop};
    KernelLog log{forged.place, output, stop};
    log.set_memory(forged.ram.memory());
    std::thread ending([&] {
        ::usleep(50'000);
        stop.end({EndKind::Signal, 15, {}});
    });
    log.drain();
    log.drain();
    ending.join();
    CHECK_FALSE(log.has_more());
    ::close(ends[0]);
    ::close(ends[1]);
}

TEST_CASE("a panic's first words are found on the console", "[kernel_log]") {
    CHECK(panic_line("nothing").empty());
    // A program that mentions a panic.
    CHECK(panic_line("PASS: no Kernel panic - not syncing\r\n").empty());
    CHECK(panic_line("grep 'Kernel panic - not syncing' log").empty());
    CHECK(panic_line("[    1.234567][    T1] Kernel panic - not syncing: a\r\n") ==
          "Kernel panic - not syncing: a");
    CHECK(panic_line("") == "");
    CHECK(panic_line("[1.0] Kernel panic - not syncing: why\r\nCall Trace:\r\n") ==
          "Kernel panic - not syncing: why");
    CHECK(panic_line("ng: why\r\n---[ end Kernel panic - not syncing: why ]---\r\n") ==
          "Kernel panic - not syncing: why");
    CHECK(panic_line("Kernel panic - not syncing: " + std::string(1000, 'x')).size() == 200);
}

TEST_CASE("the console's output keeps its last 4 KiB, whenever it was flushed", "[kernel_log]") {
    const int file = ::memfd_create("console", MFD_CLOEXEC);
    StopControl stop;
    ConsoleOutput output{file, stop};
    std::string all;
    for (int i = 0; all.size() < 40'000; i++) {
        const std::string piece(static_cast<std::size_t>(i * 37 % 6000), static_cast<char>('a' + i % 26));
        all += piece + "\n";
        output.put(std::span(reinterpret_cast<const u8*>(piece.data()), piece.size()));
        output.put('\n');
        if (i % 3 == 0) output.flush();
        const std::string_view last = output.last_bytes();
        CHECK(last.size() >= std::min<std::size_t>(all.size(), 4096));
        CHECK(all.ends_with(last));
    }
    output.flush();
    CHECK_FALSE(output.has_pending());
    std::string written(all.size() + 1, '\0');
    CHECK(::pread(file, written.data(), written.size(), 0) == static_cast<ssize_t>(all.size()));
    CHECK(written.substr(0, all.size()) == all);
    ::close(file);
}
