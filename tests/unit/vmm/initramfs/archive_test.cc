// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/archive/archive.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr EntryHeader kFile{.mode = S_IFREG | 0644};

ArchiveWriter writer(u64 bytes_max = MiB(64)) { return ArchiveWriter::create(bytes_max).value(); }

UniqueFd opened(const std::string& path) {
    UniqueFd file = UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(file.valid());
    return file;
}

std::string counting(std::size_t size_bytes) {
    std::string text(size_bytes, 0);
    for (std::size_t i = 0; i < size_bytes; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
    return text;
}

}  // namespace

TEST_CASE("every field of an entry is in the archive") {
    ArchiveWriter archive = writer();
    REQUIRE(archive
                .add("dev/x", {.mode = S_IFBLK | 04751,
                               .uid = 1001,
                               .gid = 0xfffffffe,
                               .mtime = 0xffffffff,
                               .device_major = 259,
                               .device_minor = 0xfffff})
                .has_value());
    const auto entries = read_newc(read_all(archive.finish().value()));
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].name == "dev/x");
    CHECK(entries[0].mode == (0060000 | 04751));
    CHECK(entries[0].uid == 1001);
    CHECK(entries[0].gid == 0xfffffffe);
    CHECK(entries[0].mtime == 0xffffffff);
    CHECK(entries[0].links == 1);
    CHECK(entries[0].rdev_major == 259);
    CHECK(entries[0].rdev_minor == 0xfffff);
    CHECK(entries[0].content.empty());
}

TEST_CASE("names and contents of all lengths modulo four keep their bytes") {
    ArchiveWriter archive = writer();
    for (std::size_t name = 1; name <= 6; ++name)
        for (std::size_t size = 0; size < 6; ++size)
            REQUIRE(archive.add(std::string(name, 'n') + std::to_string(size), kFile, counting(size))
                        .has_value());
    const u64 size_bytes = archive.size_bytes();
    const std::string bytes = read_all(archive.finish().value());
    CHECK(bytes.size() == size_bytes + 124);  // a trailer: 110, its name with the NUL 11, to four
    const auto entries = read_newc(bytes);
    REQUIRE(entries.size() == 36);
    for (std::size_t i = 0; i < 36; ++i) CHECK(entries[i].content == counting(i % 6));
}

TEST_CASE("an entry's size is known in advance") {
    for (const std::size_t size : {0U, 1U, 4U, 100'000U}) {
        ArchiveWriter archive = writer();
        REQUIRE(archive.add("some/name", kFile, counting(size)).has_value());
        CHECK(archive.size_bytes() == entry_bytes("some/name", size));
    }
}

TEST_CASE("files of all sizes around the buffer's are copied whole") {
    const ScratchTree tree;
    const std::vector<u64> sizes = {0,        1,          KiB(64) - 1, KiB(64), KiB(64) + 1, KiB(256) - 1,
                                    KiB(256), MiB(1) + 3, KiB(64) - 2, KiB(63), MiB(5)};
    ArchiveWriter archive = writer();
    for (std::size_t i = 0; i < sizes.size(); ++i) {
        tree.file("f", counting(sizes[i]));
        REQUIRE(
            archive.add_file("f" + std::to_string(i), kFile, opened(tree.path("f")), sizes[i]).has_value());
    }
    const auto entries = read_newc(read_all(archive.finish().value()));
    REQUIRE(entries.size() == sizes.size());
    for (std::size_t i = 0; i < sizes.size(); ++i) CHECK(entries[i].content == counting(sizes[i]));
}

TEST_CASE("a file whose size changed is refused by name") {
    const ScratchTree tree;
    for (const u64 size : {u64{10}, MiB(1)}) {
        tree.file("log", counting(size));
        ArchiveWriter archive = writer();
        archive.set_origin("DIR/");
        const Result<void> shrank = archive.add_file("log", kFile, opened(tree.path("log")), size + 1);
        REQUIRE_FALSE(shrank.has_value());
        CHECK(shrank.error().message() == "DIR/log: the file shrank from " + std::to_string(size + 1) +
                                              " bytes to " + std::to_string(size) + " while it was packed");
        ArchiveWriter another = writer();
        const Result<void> grew = another.add_file("log", kFile, opened(tree.path("log")), size - 1);
        REQUIRE_FALSE(grew.has_value());
        CHECK(grew.error().message() ==
              "log: the file grew beyond its " + std::to_string(size - 1) + " bytes while it was packed");
    }
}

TEST_CASE("the longest path that Linux takes is packed and the next is refused") {
    ArchiveWriter archive = writer();
    REQUIRE(archive.add(std::string(4095, 'p'), kFile).has_value());
    const Result<void> longer = archive.add(std::string(4096, 'p'), kFile);
    REQUIRE_FALSE(longer.has_value());
    CHECK(longer.error().message() ==
          std::string(60, 'p') + "...: a path of 4096 bytes is too long for Linux, which takes 4095");
    CHECK(read_newc(read_all(archive.finish().value())).size() == 1);
}

TEST_CASE("a file of 4 GiB is refused by name and one byte less is not") {
    const ScratchTree tree;
    tree.sparse("big", GiB(4));
    ArchiveWriter archive = writer(GiB(16));
    const Result<void> big = archive.add_file("big", kFile, opened(tree.path("big")), GiB(4));
    REQUIRE_FALSE(big.has_value());
    CHECK(big.error().message() ==
          "big: a file of 4294967296 bytes is too large for an initramfs, where one may have 4294967295");
    CHECK(archive.size_bytes() == 0);
    // The next one passes that check, and meets the next.
    ArchiveWriter small = writer(GiB(4));
    const Result<void> room = small.add_file("big", kFile, opened(tree.path("big")), GiB(4) - 1);
    REQUIRE_FALSE(room.has_value());
    CHECK(room.error().message().find("room for 4 GiB") != std::string::npos);
}

TEST_CASE("an archive may have exactly its limit") {
    const u64 bytes = entry_bytes("a", 1000) + entry_bytes("TRAILER!!!", 0);
    ArchiveWriter archive = writer(bytes);
    REQUIRE(archive.add("a", kFile, counting(1000)).has_value());
    REQUIRE(archive.finish().has_value());
    ArchiveWriter small = writer(bytes - 8);
    REQUIRE(small.add("a", kFile, counting(1000)).has_value());
    const Result<UniqueFd> refused = small.finish();
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message().find("--memory") != std::string::npos);
}

TEST_CASE("a name like the trailer's does not end the archive") {
    ArchiveWriter archive = writer();
    REQUIRE(archive.add("TRAILER!!!", kFile, std::string_view("content")).has_value());
    REQUIRE(archive.add("after", kFile).has_value());
    const auto entries = read_newc(read_all(archive.finish().value()));
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].name == "./TRAILER!!!");
    CHECK(entries[0].content == "content");
    CHECK(entries[1].name == "after");
}

TEST_CASE("entries of a link group share an inode and others do not") {
    ArchiveWriter archive = writer();
    EntryHeader linked = kFile;
    linked.link_group = 1;
    REQUIRE(archive.add("a", linked, std::string_view("x")).has_value());
    REQUIRE(archive.add("b", kFile).has_value());
    REQUIRE(archive.add("c", linked).has_value());
    const auto entries = read_newc(read_all(archive.finish().value()));
    CHECK(entries[0].inode == entries[2].inode);
    CHECK(entries[0].inode != entries[1].inode);
    CHECK(entries[0].links == 2);
    CHECK(entries[1].links == 1);
}

TEST_CASE("paths in messages stay in one line") {
    CHECK(printable("a\nb\x1b\x7f c") == "a\\x0ab\\x1b\\x7f c");
    CHECK(printable("päth") == "päth");
    CHECK(printable("\xc2\x9b"
                    "31m\xc2\xa0\xc2") == "\\xc2\\x9b31m\xc2\xa0\xc2");
}
