// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/kernel_cache/scratch_cache.h"

using namespace mayfly;
using namespace mayfly::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

constexpr u32 kOtherUser = 12345;

bool is_root() { return ::geteuid() == 0; }

/// A cache with one entry.
struct Stored {
    Stored() {
        path = cache.kernel("vmlinuz", 1);
        REQUIRE(cache.boot(path).line == "stored in " + cache.options.place);
        entry = cache.entry();
        REQUIRE(cache.boot(path).is_hit);
    }

    /// The entry is not used, for a reason with these words; a good one takes its place.
    void check_replaced(const std::string& reason) const {
        const Outcome outcome = cache.boot(path);
        CHECK_FALSE(outcome.is_hit);
        CHECK(outcome.elf == large_kernel(1));
        CHECK_THAT(outcome.line,
                   StartsWith("stored in " + cache.options.place + ": the entry that was there ") &&
                       Contains(reason));
        const Outcome next = cache.boot(path);
        CHECK(next.is_hit);
        CHECK(next.elf == large_kernel(1));
        CHECK(cache.entry() == entry);
    }

    /// The directory is not used, for a reason with these words, and nothing is written to it.
    void check_unused(const std::string& reason) const {
        const auto before = cache.entries();
        const Outcome outcome = cache.boot(path);
        CHECK_FALSE(outcome.is_hit);
        CHECK(outcome.elf == large_kernel(1));
        CHECK_THAT(outcome.line,
                   StartsWith("not cached in " + cache.options.place + ": ") && Contains(reason));
        CHECK(cache.entries() == before);
    }

    ScratchCache cache;
    std::string path;
    std::string entry;
};

i64 size_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_size;
}

}  // namespace

TEST_CASE("a truncated entry is not used", "[cache]") {
    const Stored stored;
    const i64 size = size_of(stored.entry);
    for (const i64 left : {size - 1, size - 4096, i64{4096}, i64{10}, i64{0}}) {
        REQUIRE(::truncate(stored.entry.c_str(), left) == 0);
        stored.check_replaced("is incomplete");
    }
    REQUIRE(::truncate(stored.entry.c_str(), size + 4096) == 0);
    stored.check_replaced("is incomplete");
}

TEST_CASE("an entry with any byte of its trailer changed is not used", "[cache]") {
    const Stored stored;
    const i64 size = size_of(stored.entry);
    for (i64 at = static_cast<i64>(large_kernel(1).size()); at < size; at += 7) {
        flip_byte(stored.entry, at);
        stored.check_replaced("is incomplete");
    }
}

TEST_CASE("an entry from before the host's start is read whole, once", "[cache]") {
    const Stored stored;
    SECTION("and used when it is whole") {
        set_used(stored.entry, 1000);
        CHECK(stored.cache.boot(stored.path).is_hit);
        struct stat status {};
        REQUIRE(::stat(stored.entry.c_str(), &status) == 0);
        CHECK(status.st_mtim.tv_sec > std::time(nullptr) - 60);
    }
    SECTION("and not used when a byte of it differs") {
        for (const i64 at : {i64{0}, i64{300'000}, static_cast<i64>(large_kernel(1).size()) - 1}) {
            flip_byte(stored.entry, at);
            set_used(stored.entry, 1000);
            stored.check_replaced("is corrupt");
        }
    }
    SECTION("as is one with a time in the future") {
        flip_byte(stored.entry, 300'000);
        set_used(stored.entry, std::time(nullptr) + 3600);
        stored.check_replaced("is corrupt");
    }
    SECTION("and a block of zeros is noticed") {
        const UniqueFd fd = UniqueFd::adopt(::open(stored.entry.c_str(), O_RDWR | O_CLOEXEC));
        const Bytes zeros(4096);
        REQUIRE(::pwrite(fd.get(), zeros.data(), zeros.size(), 0x4000) == 4096);
        set_used(stored.entry, 1000);
        stored.check_replaced("is corrupt");
    }
}

TEST_CASE("an entry that others may write to is not used", "[cache]") {
    const Stored stored;
    for (const mode_t mode : {0620U, 0602U, 0666U}) {
        REQUIRE(::chmod(stored.entry.c_str(), mode) == 0);
        stored.check_replaced("others may write to it");
    }
}

TEST_CASE("an entry that is a link, a pipe or a directory is not used", "[cache]") {
    const Stored stored;
    const std::string moved = stored.cache.path() + "/moved";
    REQUIRE(::rename(stored.entry.c_str(), moved.c_str()) == 0);
    SECTION("link") {
        REQUIRE(::symlink(moved.c_str(), stored.entry.c_str()) == 0);
        stored.check_replaced("is a symbolic link");
        CHECK(::access(moved.c_str(), F_OK) == 0);
    }
    SECTION("pipe") {
        REQUIRE(::mkfifo(stored.entry.c_str(), 0600) == 0);
        stored.check_replaced("is not a regular file");
    }
    SECTION("directory") {
        REQUIRE(::mkdir(stored.entry.c_str(), 0700) == 0);
        const Outcome outcome = stored.cache.boot(stored.path);
        CHECK_THAT(outcome.line, StartsWith("not cached in ") && Contains(": write: Is a directory"));
        CHECK(outcome.elf == large_kernel(1));
    }
}

TEST_CASE("an entry of another kernel by the right name is not used", "[cache]") {
    const Stored stored;
    const std::string other = stored.cache.kernel("other", 2);
    REQUIRE(stored.cache.boot(other).line == "stored in " + stored.cache.options.place);
    const auto names = stored.cache.entries();
    REQUIRE(names.size() == 2);
    const std::string place = stored.cache.options.place + "/";
    const std::string copied_entry = place + (place + names[0] == stored.entry ? names[1] : names[0]);
    REQUIRE(::rename(copied_entry.c_str(), stored.entry.c_str()) == 0);
    const Outcome outcome = stored.cache.boot(stored.path);
    CHECK_FALSE(outcome.is_hit);
    CHECK(outcome.elf == large_kernel(1));
}

TEST_CASE("a directory that others may write to is not used", "[cache]") {
    const Stored stored;
    for (const mode_t mode : {0770U, 0707U, 01777U}) {
        REQUIRE(::chmod(stored.cache.options.place.c_str(), mode) == 0);
        stored.check_unused("others may write to it: its mode is");
    }
    REQUIRE(::chmod(stored.cache.options.place.c_str(), 0755) == 0);
    CHECK(stored.cache.boot(stored.path).is_hit);
}

TEST_CASE("a directory that is a link or a file is not used", "[cache]") {
    const Stored stored;
    const std::string moved = stored.cache.path() + "/moved";
    REQUIRE(::rename(stored.cache.options.place.c_str(), moved.c_str()) == 0);
    SECTION("link") { REQUIRE(::symlink(moved.c_str(), stored.cache.options.place.c_str()) == 0); }
    SECTION("file") { (void)stored.cache.file("cache", {}); }
    stored.check_unused("is not a directory, or is a symbolic link");
}

TEST_CASE("another user's files are not used", "[cache]") {
    if (!is_root()) {
        WARN("skipped: only root can give files away");
        return;
    }
    const Stored stored;
    REQUIRE(::chown(stored.entry.c_str(), kOtherUser, kOtherUser) == 0);
    stored.check_replaced("belongs to user 12345, not 0");
    REQUIRE(::chown(stored.cache.options.place.c_str(), kOtherUser, kOtherUser) == 0);
    stored.check_unused("belongs to user 12345, not 0");
}

TEST_CASE("a read-only directory is still read", "[cache]") {
    if (is_root()) {
        WARN("skipped: root may write everywhere");
        return;
    }
    const Stored stored;
    REQUIRE(::chmod(stored.cache.options.place.c_str(), 0500) == 0);
    CHECK(stored.cache.boot(stored.path).is_hit);
    CHECK_THAT(stored.cache.boot(stored.cache.kernel("other", 2)).line,
               StartsWith("not cached in ") && Contains(": write: "));
    REQUIRE(::chmod(stored.cache.options.place.c_str(), 0700) == 0);
}

TEST_CASE("a directory that cannot be made only disables the cache", "[cache]") {
    ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    cache.options.place = path + "/below/a/file";
    const Outcome outcome = cache.boot(path);
    CHECK_THAT(outcome.line, StartsWith("not cached in ") && Contains("is not a directory"));
    CHECK(outcome.elf == large_kernel(1));
}
