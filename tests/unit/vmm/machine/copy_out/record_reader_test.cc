// SPDX-License-Identifier: Apache-2.0
// The records that an init may send, and those it may not.
#include "vmm/machine/copy_out/record_reader.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "tests/unit/vmm/machine/copy_out/records.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// Writes down each record.
class Notes final : public FileSink {
  public:
    std::string text;

    void on_directory(const FileName& name, u32 mode) override { note("d", name, mode); }
    void on_file(const FileName& name, u32 mode) override { note("f", name, mode); }
    void on_data(u64 at, std::span<const std::byte> bytes) override {
        text += fmt::format("+{}:{} ", at,
                            std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
    void on_file_end(u64 size_bytes, timespec mtime) override {
        text += fmt::format("={}@{}.{} ", size_bytes, mtime.tv_sec, mtime.tv_nsec);
    }
    void on_link(const FileName& name, const std::string& target) override {
        text += ">" + target + " ";
        note("l", name, 0);
    }
    void on_left_out(const FileName& name, u32 mode) override { note("o", name, mode); }
    void on_problem(const FileName& name, int error) override { note("!", name, static_cast<u32>(error)); }

  private:
    void note(const char* what, const FileName& name, u32 value) {
        text += fmt::format("{}{}:{}:{:o} ", what, name.copy, name.path, value);
    }
};

struct Reading {
    explicit Reading(u32 copies = 1) : reader(copies, notes) {}

    Result<void> feed(const std::string& text) { return reader.feed(as_bytes(text)); }
    std::string refused(std::initializer_list<Record> records) {
        const Result<void> fed = feed(bytes_of(records));
        if (fed) return "nothing";
        CHECK(fed.error().kind() == ErrorKind::Host);
        return fed.error().message();
    }

    Notes notes{};
    RecordReader reader;
};

std::string refusal_of(std::initializer_list<Record> records, u32 copies = 1) {
    return Reading(copies).refused(records);
}

const Record kTop{.kind = kDirectory, .mode = 040755};
const Record kPlain{.kind = kFile, .path = "a"};

}  // namespace

TEST_CASE("a tree arrives as it was sent, however it is cut into pieces") {
    const std::string sent = bytes_of({kTop,
                                       {.kind = kFile, .path = "a", .mode = 0100640},
                                       {.kind = kData, .data = "hello"},
                                       {.kind = kData, .data = "end", .value = 4096},
                                       {.kind = kFileEnd, .value = 8192},
                                       {.kind = kDirectory, .path = "b", .mode = 040700},
                                       {.kind = kLink, .path = "b/c", .data = "../a"},
                                       {.kind = kLeftOut, .path = "b/s", .mode = 0140777},
                                       {.kind = kProblem, .path = "b/x", .value = 5},
                                       {.kind = kFile, .copy = 1},
                                       {.kind = kProblem, .value = 5, .copy = 1},
                                       {.kind = kEnd}});
    const std::string expected =
        "d0::40755 f0:a:100640 +0:hello +4096:end =8192@1000000000.500 d0:b:40700 >../a l0:b/c:0 "
        "o0:b/s:140777 "
        "!0:b/x:5 f1::644 !1::5 ";
    for (const std::size_t piece : {sent.size(), std::size_t{1}, std::size_t{7}, std::size_t{64}}) {
        Reading reading(2);
        for (std::size_t at = 0; at < sent.size(); at += piece) {
            REQUIRE_FALSE(reading.reader.has_ended());
            REQUIRE(reading.feed(sent.substr(at, piece)));
        }
        CHECK(reading.notes.text == expected);
        CHECK(reading.reader.has_ended());
    }
}

TEST_CASE("paths lead below the requested file") {
    for (const char* path : {"/etc/passwd", "../x", "a/../../x", "..", ".", "a/.", "a//b", "a/", "/"})
        CHECK(refusal_of({kTop, {.kind = kFile, .path = path}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kFile, .path = std::string("a\0b", 3)}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kFile, .path = std::string(256, 'n')}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kFile, .path = std::string(255, 'n')}}) == "nothing");
    CHECK(refusal_of({kTop, {.kind = kFile, .path = "..."}}) == "nothing");
    std::string longest;
    while (longest.size() < 4094) longest += longest.size() % 2 == 0 ? "d" : "/";
    CHECK(refusal_of({kTop, {.kind = kFile, .path = longest + "d"}}) == "nothing");
    CHECK(refusal_of({kTop, {.kind = kFile, .path = longest + "/dd"}}) != "nothing");
}

TEST_CASE("each record comes where it may") {
    CHECK(refusal_of({kPlain}).find("a file before its directory") != std::string::npos);
    CHECK(refusal_of({kTop, kTop}) != "nothing");
    CHECK(refusal_of({{.kind = kFile}, {.kind = kFileEnd}, kPlain}).find("more files than were requested") !=
          std::string::npos);
    CHECK(refusal_of({{.kind = kLink, .data = "x"}, {.kind = kFile}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kData, .data = "x"}}).find("data without a file") != std::string::npos);
    CHECK(refusal_of({kTop, {.kind = kFileEnd}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, kPlain}).find("within a file") != std::string::npos);
    CHECK(refusal_of({kTop, kPlain, {.kind = kEnd}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "x", .copy = 1}}, 2) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kProblem, .value = 2}}) == "nothing");
    CHECK(refusal_of({kTop, {.kind = kProblem, .value = 0}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kProblem, .value = 4096}}) != "nothing");
    CHECK(refusal_of({{.kind = kEnd}}).find("before all requested files") != std::string::npos);
    CHECK(refusal_of({kTop, {.kind = kEnd}}, 2) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kEnd}, {.kind = kEnd}}).find("a record after the end") !=
          std::string::npos);
    CHECK(refusal_of({{.kind = kDirectory, .copy = 1}}, 2) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kDirectory, .copy = 2}}, 3) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kDirectory, .copy = 1}, kPlain}, 2) != "nothing");
    CHECK(refusal_of({{.kind = kDirectory, .copy = 1}}, 1) != "nothing");
}

TEST_CASE("records after the end are an error also when they come later, and when incomplete") {
    Reading reading;
    REQUIRE(reading.feed(bytes_of({kTop, {.kind = kEnd}})));
    CHECK_FALSE(reading.feed("x"));
}

TEST_CASE("data comes in order, and matches the file's size") {
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "abc"}, {.kind = kData, .data = "d", .value = 2}})
              .find("data at 2 of a file after data up to 3") != std::string::npos);
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "abc"}, {.kind = kFileEnd, .value = 2}}) !=
          "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "abc"}, {.kind = kFileEnd, .value = 3}}) ==
          "nothing");
    const u64 last = ~u64{0} >> 1;
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "a", .value = last - 1}}) == "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "a", .value = last}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = "a", .value = ~u64{0}}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kFileEnd, .value = last + 1}}) != "nothing");
}

TEST_CASE("an invalid head is refused before its data has come") {
    CHECK(refusal_of({{.kind = 0}}) != "nothing");
    CHECK(refusal_of({{.kind = 9}}) != "nothing");
    CHECK(refusal_of({{.kind = kDirectory, .mtime_ns = 1'000'000'000}}) != "nothing");
    CHECK(refusal_of({{.kind = kDirectory, .data = "x"}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .path = "x"}}) != "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = std::string(65'536, 'x')}}) == "nothing");
    CHECK(refusal_of({kTop, kPlain, {.kind = kData, .data = std::string(65'537, 'x')}}) != "nothing");
    CHECK(refusal_of({kTop, {.kind = kLink, .path = "l"}}).find("a link without a target") !=
          std::string::npos);
    CHECK(refusal_of({kTop, {.kind = kLink, .path = "l", .data = std::string("a\0", 2)}}) != "nothing");
    std::string head = Record{.kind = kFile}.bytes();
    for (std::size_t at = 8; at < 12; ++at) head[at] = '\xff';  // a path of 4 GiB
    Reading reading;
    CHECK_FALSE(reading.feed(head));
}
