// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/console/kernel_log.h"

#include <atomic>
#include <thread>

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/test_ram.h"
#include "vmm/machine/console/panic_line.h"

using namespace mayfly;

namespace {

// kernel/printk/printk_ringbuffer.h of Linux 6.12: states of a descriptor, positions without text.
constexpr u64 kReserved = 0;
constexpr u64 kCommitted = 1;
constexpr u64 kFinalized = 2;
constexpr u64 kReusable = 3;
constexpr u64 kFailed = 1;
constexpr u64 kNone = 3;

constexpr u32 kCountBits = 5;
constexpr u64 kCount = u64{1} << kCountBits;
constexpr u32 kTextBits = 10;
constexpr u64 kTextBytes = u64{1} << kTextBits;
constexpr u64 kFirstId = 0xffff'ffe0;

constexpr u64 kHead = 0x1000;
constexpr u64 kDescriptors = 0x2000;
constexpr u64 kInfos = 0x3000;
constexpr u64 kText = 0x4000;

PrintkRing ring() {
    return {.head_id = Gpa{kHead},
            .descriptors = Gpa{kDescriptors},
            .infos = Gpa{kInfos},
            .text = Gpa{kText},
            .count_bits = kCountBits,
            .text_bits = kTextBits,
            .first_id = kFirstId};
}

/// Plays the kernel: writes records as printk does.
struct Guest {
    Guest() { set_head(kFirstId - 1); }

    void set_head(u64 id) { put<u64>(kHead, id); }
    template <typename T>
    void put(u64 at, T value) {
        REQUIRE(ram.memory().write_object(Gpa{at}, value) == MemStatus::Ok);
    }
    void describe(u64 id, u64 state, u64 begin, u64 next) {
        const u64 at = kDescriptors + id % kCount * 24;
        put<u64>(at, state << 62 | id);
        put<u64>(at + 8, begin);
        put<u64>(at + 16, next);
    }
    void inform(u64 id, u64 time_ns, std::size_t bytes, int level) {
        const u64 at = kInfos + id % kCount * 88;
        put<u64>(at, id - kFirstId);
        put<u64>(at + 8, time_ns);
        put<u16>(at + 16, static_cast<u16>(bytes));
        put<u8>(at + 19, static_cast<u8>(level << 5 | 2));
    }
    /// Gives back the record's id.
    u64 log(std::string_view text, int level = 6, u64 state = kFinalized) {
        const u64 id = next_id++;
        inform(id, 1'234'567'890 + (id - kFirstId) * 1000, text.size(), level);
        set_head(id);
        if (text.empty()) {
            describe(id, state, kNone, kNone);
            return id;
        }
        const u64 block = align_up(8 + text.size(), 8);
        u64 begin = position;
        u64 next = begin + block;
        u64 at = begin % kTextBytes;
        if (at + block >= kTextBytes) {  // would reach the end: begins anew, in the next round
            next = align_down(next, kTextBytes) + block;
            at = 0;
        }
        describe(id, state, begin, next);
        put<u64>(kText + at, id);
        for (std::size_t i = 0; i < text.size(); i++) put<char>(kText + at + 8 + i, text[i]);
        position = next;
        return id;
    }

    TestRam ram{KiB(64)};
    u64 next_id = kFirstId;
    u64 position = u64{0} - kTextBytes;
};

/// The log and the text that it printed.
struct Said {
    explicit Said(Guest& guest) { log.set_memory(guest.ram.memory()); }
    ~Said() { ::close(file); }
    std::string text() {
        output.flush();
        std::string all(static_cast<std::size_t>(::lseek(file, 0, SEEK_END)), '\0');
        REQUIRE(::pread(file, all.data(), all.size(), 0) == static_cast<ssize_t>(all.size()));
        return all;
    }
    /// Present records are printed at the next call.
    void look() {
        log.drain();
        log.drain();
    }
    void hand_over_to(std::string_view bytes) {
        log.hand_over_to({reinterpret_cast<const u8*>(bytes.data()), bytes.size()});
    }

    int file = ::memfd_create("console", MFD_CLOEXEC);
    StopControl stop;
    ConsoleOutput output{file, stop};
    KernelLog log{ring(), output, stop};
};

}  // namespace

TEST_CASE("records are printed as Linux prints them, each once", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    CHECK_FALSE(said.log.has_more());
    said.look();
    CHECK(said.text().empty());
    guest.log("Linux version 6.12");
    CHECK(said.log.has_more());
    said.look();
    CHECK_FALSE(said.log.has_more());
    guest.log("two\nlines");
    guest.log("");
    said.look();
    said.look();
    CHECK(said.text() ==
          "[    1.234567] Linux version 6.12\r\n"
          "[    1.234568] two\r\n[    1.234568] lines\r\n"
          "[    1.234569] \r\n");
}

TEST_CASE("a restored log goes on where the saved one stood", "[kernel_log]") {
    Guest guest;
    std::string all;
    KernelLogState state;
    for (int i = 0; i < 20; ++i) {
        Said said(guest);
        if (i != 0) said.log.restore(state);
        guest.log(std::string(static_cast<std::size_t>(i), 'x'));
        if (i == 12) guest.log("Kernel panic - not syncing: all is shown from here on", 7);
        if (i == 14) guest.log("debug", 7);
        // Records seen and not printed yet are printed by the next one.
        if (i % 3 != 0) said.log.drain();
        if (i == 18) said.hand_over_to("no record's beginning");
        state = said.log.save();
        said.log.finish();
        all += said.text();
        CHECK(state.has_handed_over == (i >= 18));
    }
    Guest other;
    Said once(other);
    for (int i = 0; i < 19; ++i) {
        other.log(std::string(static_cast<std::size_t>(i), 'x'));
        if (i == 12) other.log("Kernel panic - not syncing: all is shown from here on", 7);
        if (i == 14) other.log("debug", 7);
        // The log must be read before words that change the level.
        if (i % 3 != 0) once.look();
    }
    once.look();
    CHECK(all == once.text());
}

TEST_CASE("text wraps around the ring", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    std::string expected;
    for (int i = 0; i < 500; i++) {
        const std::string text(static_cast<std::size_t>(i * 7 % 60), static_cast<char>('a' + i % 26));
        guest.log(text);
        said.look();
        expected += text + "\r\n";
    }
    std::string found = said.text();
    for (std::size_t at = 0; (at = found.find('[', at)) != std::string::npos;) found.erase(at, 15);
    CHECK(found == expected);
}

TEST_CASE("only messages below the level are for the console, until a kernel in distress shows all",
          "[kernel_log]") {
    // The messages that follow oops_begin() and panic() in Linux 6.1 and 6.12, with their levels.
    struct Row {
        int level;
        const char* text;
    };
    for (const Row& row : {Row{1, "BUG: kernel NULL pointer dereference, address: 0000000000000000"},
                           Row{1, "BUG: unable to handle page fault for address: ffffdead"},
                           Row{4, "invalid opcode: 0000 [#1] PREEMPT SMP NOPTI"},
                           Row{4, "Oops: 0002 [#1] SMP"}, Row{4, "Oops: Oops: 0002 [#12] SMP"},
                           Row{4, "general protection fault, probably for address 0x6: 0000 [#1]"},
                           Row{0, "Kernel panic - not syncing: VFS: Unable to mount root fs"}}) {
        Guest guest;
        Said said(guest);
        said.log.set_level(1);
        guest.log("an alert", 1);
        guest.log("an emergency", 0);
        guest.log(row.text, row.level);
        guest.log("its trace", 6);
        said.look();
        CHECK(said.text() == "[    1.234568] an emergency\r\n[    1.234569] " + std::string(row.text) +
                                 "\r\n[    1.234570] its trace\r\n");
    }
}

TEST_CASE("errors that Linux survives do not lower the log level", "[kernel_log]") {
    for (const char* text :
         {"Initramfs unpacking failed: junk within compressed archive", "BUG: scheduling while atomic",
          "watchdog: BUG: soft lockup - CPU#0 stuck for 26s!", "mce: [Hardware Error]: Machine check: 0000",
          "no Kernel panic - not syncing: at all", "Oops: a driver's word", ": 12 [#1]", " [#1]",
          "x: 00g0 [#1]", "x0000 [#1]", "[ INFO ] general protection fault"}) {
        Guest guest;
        Said said(guest);
        said.log.set_level(4);
        guest.log(text, 0);
        guest.log("a notice", 5);
        said.look();
        CHECK(said.text() == "[    1.234567] " + std::string(text) + "\r\n");
    }
}

TEST_CASE("the console's first record, and all later ones, are left to the console", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("before");
    guest.log("printed by the console");
    guest.log("and this");
    said.hand_over_to("[    1.234568] pr");
    CHECK(said.log.has_handed_over());
    guest.log("later");
    said.look();
    said.log.finish();
    said.hand_over_to("[    1.234569] an");
    CHECK_FALSE(said.log.has_more());
    CHECK(said.text() == "[    1.234567] before\r\n");
}

TEST_CASE("a program's words on the console follow all of the log", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("one");
    guest.log("two");
    said.hand_over_to("hello, and more than a piece");
    CHECK(said.text() == "[    1.234567] one\r\n[    1.234568] two\r\n");
}

TEST_CASE("an unfinished record is waited for, and at the end printed as it is", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("done");
    const u64 open = guest.log("may be continued", 6, kCommitted);
    const u64 begun = guest.log("not yet there", 6, kReserved);
    guest.log("behind it");
    said.look();
    CHECK(said.text() == "[    1.234567] done\r\n");
    guest.put<u64>(kDescriptors + open % kCount * 24, kFinalized << 62 | open);
    said.look();
    CHECK(said.text() == "[    1.234567] done\r\n[    1.234568] may be continued\r\n");
    guest.put<u64>(kDescriptors + begun % kCount * 24, kReserved << 62 | begun);
    said.log.finish();
    CHECK(said.text() ==
          "[    1.234567] done\r\n[    1.234568] may be continued\r\n[    1.234570] behind it\r\n");
    guest.log("last words", 6, kCommitted);
    said.log.finish();
    CHECK(said.text().ends_with("[    1.234571] last words\r\n"));
}

TEST_CASE("overwritten records are reported, those without text left out", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    for (u64 i = 0; i < kCount + 3; i++) guest.log("n");
    said.look();
    const std::string found = said.text();
    CHECK(found.starts_with("** 3 printk messages dropped **\r\n[    1.234570] n"));
    CHECK(std::count(found.begin(), found.end(), '\n') == kCount + 1);

    const u64 failed = guest.log("x");
    guest.describe(failed, kFinalized, kFailed, kFailed);
    const u64 empty = guest.log("x");
    guest.describe(empty, kFinalized, kNone, kNone);
    const u64 reusable = guest.log("x");
    guest.describe(reusable, kReusable, 0, 16);
    said.look();
    CHECK(said.text().substr(found.size()) == "[    1.234603] \r\n");
}

TEST_CASE("a guest with a forged log prints at most its ring's size", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    const u64 id = guest.log("true");
    struct Row {
        u64 begin;
        u64 next;
    };
    for (const Row& row : {Row{0, 0}, Row{0, 8}, Row{16, 0}, Row{0, kTextBytes * 2}, Row{8, ~u64{0}},
                           Row{~u64{7}, ~u64{0}}, Row{kTextBytes - 8, kTextBytes}, Row{4, 30}}) {
        guest.describe(id, kFinalized, row.begin, row.next);
        Said other(guest);
        other.log.finish();
        CHECK(other.text().empty());
    }
    // Text longer than its block: only the block's bytes.
    guest.describe(id, kFinalized, 0, 16);
    guest.inform(id, 0, 65535, 6);
    {
        Said other(guest);
        other.look();
        CHECK(other.text().size() == 15 + 8 + 2);
    }
    for (const u64 head : {u64{0}, ~u64{0}, kFirstId - 2, kFirstId + kCount * 100, u64{1} << 62}) {
        guest.set_head(head);
        Said other(guest);
        other.look();
        other.log.finish();
        CHECK(other.text().size() <= 100 + kCount * (15 + kTextBytes));
    }
}

TEST_CASE("records that share their text are limited to the ring's size", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    for (u64 i = 0; i < kTextBytes; i++) guest.put<char>(kText + i, '\n');
    for (u64 id = kFirstId; id < kFirstId + kCount; id++) {
        guest.describe(id, kFinalized, (id - kFirstId) * 8, kTextBytes - 8);
        guest.inform(id, 0, 65535, 6);
        guest.put<u64>(kText + (id - kFirstId) * 8, id);
    }
    guest.set_head(kFirstId + kCount - 1);
    said.log.finish();
    CHECK(said.text().size() > 1000);
    CHECK(said.text().size() <= (kTextBytes + kCount) * 17);
    // And the log does not begin anew when the newest record seems older.
    const std::string before = said.text();
    guest.set_head(kFirstId + kCount - 2);
    said.look();
    said.log.finish();
    CHECK(said.text() == before);
}

TEST_CASE("a ring outside guest memory prints nothing", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    const TestRam small(KiB(4));
    said.log.set_memory(small.memory());
    said.look();
    said.log.finish();
    CHECK(said.text().empty());
}

TEST_CASE("records that the console may be about to print are left to the next call", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("one");
    said.log.drain();
    CHECK(said.text().empty());
    guest.log("two");
    said.log.drain();
    CHECK(said.text() == "[    1.234567] one\r\n");
    said.hand_over_to("[    1.234568] two\r\n");
    CHECK(said.text() == "[    1.234567] one\r\n");
}

TEST_CASE("a descriptor that still holds an older record is waited for", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    const u64 id = guest.log("in time");
    guest.put<u64>(kDescriptors + id % kCount * 24, kReusable << 62 | (id - kCount));
    said.look();
    CHECK(said.log.has_more());
    guest.put<u64>(kDescriptors + id % kCount * 24, 0);  // never used yet
    said.look();
    CHECK(said.text().empty());
    guest.put<u64>(kDescriptors + id % kCount * 24, kFinalized << 62 | id);
    said.look();
    CHECK(said.text() == "[    1.234567] in time\r\n");
}

TEST_CASE("the console's record is recognised in every form that the kernel prints", "[kernel_log]") {
    for (const char* first : {"[    1.234568][    T1] second", "second and longer than that",
                              "[    1.234568] second and longer than that"}) {
        Guest guest;
        Said said(guest);
        guest.log("first and longer than a piece");
        guest.log("second and longer than that");
        said.hand_over_to(first);
        CHECK(said.text() == "[    1.234567] first and longer than a piece\r\n");
    }
}

TEST_CASE("where records look alike, the newest is the console's", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    for (int i = 0; i < 3; i++) guest.inform(guest.log("the same"), 5'000'000'000, 8, 6);
    said.hand_over_to("[    5.000000] the same");
    CHECK(said.text() == "[    5.000000] the same\r\n[    5.000000] the same\r\n");
}

TEST_CASE("a console that begins within a record goes on there", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("one");
    guest.log("a record of several pieces, the last of them printed");
    guest.log("three");
    said.hand_over_to("al pieces, the last");
    CHECK(said.text() == "[    1.234567] one\r\n[    1.234568] a record of sever");
}

TEST_CASE("less than a piece does not identify a record", "[kernel_log]") {
    Guest guest;
    Said said(guest);
    guest.log("one");
    said.hand_over_to("[");
    CHECK(said.text() == "[    1.234567] one\r\n");
}

TEST_CASE("a log whose end moves while it is read is read no longer than its ring", "[kernel_log]") {
    Guest guest;
    // No record with the expected id, and none to wait for.
    for (u64 i = 0; i < kCount; i++) guest.describe(kFirstId + (u64{1} << 50) + i, kFinalized, 0, 16);
    std::atomic<bool> has_ended = false;
    std::thread other([&] {
        u64* head = guest.ram.at<u64>(Gpa{kHead});
        while (!has_ended) {
            __atomic_store_n(head, kFirstId - 1, __ATOMIC_SEQ_CST);
            __atomic_store_n(head, kFirstId + (u64{1} << 40), __ATOMIC_SEQ_CST);
        }
    });
    std::size_t longest = 0;
    for (int round = 0; round < 3000; round++) {
        Said said(guest);
        said.look();
        said.log.finish();
        longest = std::max(longest, said.text().size());
    }
    has_ended = true;
    other.join();
    CHECK(longest < 1000);
}

TEST_CASE("a panic's first words are found in the log, the newest of them, and made fit to be shown",
          "[kernel_log]") {
    Guest guest;
    PrintkRecords records(ring());
    records.set_memory(guest.ram.memory());
    CHECK(panic_line(records).empty());
    guest.log("Kernel panic - not syncing: an older one");
    guest.log("Kernel panic - not syncing: VFS:\x1b[31m \x01 here\nand more", 0);
    guest.log("---[ end Kernel panic - not syncing: VFS ]---", 0);
    guest.log("a trace", 4, kCommitted);
    CHECK(panic_line(records) == "Kernel panic - not syncing: VFS: \xef\xbf\xbd here");
    for (u64 i = 0; i < kCount; i++) guest.log("overwritten");
    CHECK(panic_line(records).empty());
    guest.set_head(~u64{0});
    CHECK(panic_line(records).empty());
}
