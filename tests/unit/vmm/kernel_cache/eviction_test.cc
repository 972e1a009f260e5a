// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <ctime>

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/file_size_limit.h"
#include "tests/unit/vmm/kernel_cache/scratch_cache.h"

using namespace mayfly;
using namespace mayfly::test;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

/// A tmpfs over a directory; root only.
class SmallFileSystem {
  public:
    SmallFileSystem(std::string path, const char* options) : path_(std::move(path)) {
        ::mkdir(path_.c_str(), 0700);
        is_mounted_ = ::mount("mayfly-test", path_.c_str(), "tmpfs", 0, options) == 0;
        if (!is_mounted_) WARN("skipped: tmpfs cannot be mounted");
    }
    SmallFileSystem(const SmallFileSystem&) = delete;
    SmallFileSystem& operator=(const SmallFileSystem&) = delete;
    ~SmallFileSystem() {
        if (is_mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    }
    [[nodiscard]] bool is_mounted() const { return is_mounted_; }

  private:
    std::string path_;
    bool is_mounted_ = false;
};

/// Three kernels in the cache, the second used longest ago, the third last.
struct Three {
    Three() {
        for (const u64 seed : {1U, 2U, 3U}) {
            paths.push_back(cache.kernel("vmlinuz" + std::to_string(seed), seed));
            const auto before = cache.entries();
            REQUIRE(cache.boot(paths.back()).line == "stored in " + cache.options.place);
            for (const std::string& name : cache.entries()) {
                if (std::find(before.begin(), before.end(), name) == before.end())
                    entries.push_back(cache.options.place + "/" + name);
            }
        }
        REQUIRE(entries.size() == 3);
        set_used(entries[0], 2000);
        set_used(entries[1], 1000);
        set_used(entries[2], 3000);
    }
    [[nodiscard]] bool has(std::size_t index) const { return ::access(entries[index].c_str(), F_OK) == 0; }

    ScratchCache cache;
    std::vector<std::string> paths;
    std::vector<std::string> entries;
};

}  // namespace

TEST_CASE("the least recently used entries make room for a new one", "[cache]") {
    Three three;
    three.cache.options.entries_max = 3;
    SECTION("by number") {
        CHECK(three.cache.boot(three.cache.kernel("vmlinuz4", 4)).line ==
              "stored in " + three.cache.options.place);
        CHECK(three.has(0));
        CHECK_FALSE(three.has(1));
        CHECK(three.has(2));
    }
    SECTION("by number, where a hit counts as a use") {
        CHECK(three.cache.boot(three.paths[1]).is_hit);
        (void)three.cache.boot(three.cache.kernel("vmlinuz4", 4));
        CHECK_FALSE(three.has(0));
        CHECK(three.has(1));
    }
    SECTION("by size") {
        three.cache.options.bytes_max = MiB(4);
        (void)three.cache.boot(three.cache.kernel("vmlinuz4", 4));
        CHECK_FALSE(three.has(0));
        CHECK_FALSE(three.has(1));
        CHECK(three.has(2));
        CHECK(three.cache.entries().size() == 2);
    }
    SECTION("but not where the new one replaces an old one") {
        (void)three.cache.kernel("vmlinuz3", 5);
        (void)three.cache.boot(three.paths[2]);
        CHECK(three.cache.entries().size() == 3);
        CHECK(three.has(1));
    }
}

TEST_CASE("an entry that could not fit is not stored, and nothing is removed for it", "[cache]") {
    Three three;
    three.cache.options.bytes_max = MiB(1);
    const Outcome outcome = three.cache.boot(three.cache.kernel("vmlinuz4", 4));
    CHECK_THAT(outcome.line, StartsWith("not cached in ") && Contains(": it takes 1572") &&
                                 Contains("the limit is 1048576"));
    CHECK(outcome.elf == large_kernel(4));
    CHECK(three.cache.entries().size() == 3);
}

TEST_CASE("foreign files are left alone; unfinished entries are removed", "[cache]") {
    Three three;
    three.cache.options.entries_max = 1;
    const Bytes text(10);
    (void)three.cache.file("cache/notes", text);
    (void)three.cache.file("cache/1.mayfly-unfinished", text);
    (void)three.cache.file("cache/2.mayfly-unfinished", text);
    set_used(three.cache.options.place + "/1.mayfly-unfinished", std::time(nullptr) - 7200);
    (void)three.cache.boot(three.cache.kernel("vmlinuz4", 4));
    const auto names = three.cache.entries();
    REQUIRE(names.size() == 3);
    CHECK(names[0] == "2.mayfly-unfinished");
    CHECK(names[2] == "notes");
}

TEST_CASE("an entry beyond the limit of file sizes is not written", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const Outcome outcome = [&] {
        // SIGXFSZ is not ignored here, and is not yet when mayfly unpacks: it would end the process.
        const FileSizeLimit limit(MiB(1));
        return cache.boot(path);
    }();
    CHECK_THAT(outcome.line, StartsWith("not cached in ") && Contains(": it takes") && Contains("ulimit -f"));
    CHECK(outcome.elf == large_kernel(1));
    CHECK(cache.entries().empty());
}

TEST_CASE("at most a tenth of a small file system is used", "[cache]") {
    const ScratchCache cache;
    const SmallFileSystem small(cache.options.place, "size=16M,mode=0700");
    if (!small.is_mounted()) return;
    CHECK(cache.boot(cache.kernel("vmlinuz1", 1)).line == "stored in " + cache.options.place);
    // The first one counts as free, because it can go.
    CHECK(cache.boot(cache.kernel("vmlinuz2", 2)).line == "stored in " + cache.options.place);
    CHECK(cache.entries().size() == 1);
    (void)cache.file("cache/ballast", Bytes(MiB(2)));
    CHECK_THAT(cache.boot(cache.kernel("vmlinuz3", 3)).line,
               StartsWith("not cached in ") && Contains(": it takes"));
}

TEST_CASE("a full file system does not fail the boot", "[cache]") {
    const ScratchCache cache;
    const SmallFileSystem small(cache.options.place, "size=64M,mode=0700,nr_inodes=1");
    if (!small.is_mounted()) return;
    const Outcome outcome = cache.boot(cache.kernel("vmlinuz", 1));
    CHECK_THAT(outcome.line, StartsWith("not cached in ") && Contains("No space left"));
    CHECK(outcome.elf == large_kernel(1));
}
