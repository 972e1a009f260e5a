// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <ctime>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/image/packer.h"
#include "tests/unit/vmm/kernel_cache/scratch_cache.h"

using namespace mayfly;
using namespace mayfly::test;
using Catch::Matchers::Contains;

namespace {

/// An environment variable, for one test; null: unset.
class Variable {
  public:
    Variable(const char* name, const char* value) : name_(name) {
        const char* before = std::getenv(name);
        if (before != nullptr) before_ = before;
        set(value);
    }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;
    ~Variable() { set(before_ ? before_->c_str() : nullptr); }

  private:
    void set(const char* value) const {
        if (value != nullptr)
            ::setenv(name_, value, 1);
        else
            ::unsetenv(name_);
    }

    const char* name_;
    std::optional<std::string> before_;
};

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status;
}

/// Longer than a tick of the clock that gives file systems their times.
void wait_a_tick() {
    const timespec time{0, 30'000'000};
    ::nanosleep(&time, nullptr);
}

}  // namespace

TEST_CASE("a bzImage is unpacked and stored once, and found from then on", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const Outcome first = cache.boot(path);
    CHECK(first.line == "stored in " + cache.options.place);
    CHECK_FALSE(first.is_hit);
    CHECK(first.elf == large_kernel(1));
    const Outcome second = cache.boot(path);
    CHECK(second.line == "cached in " + cache.options.place);
    CHECK(second.is_hit);
    CHECK(second.elf == large_kernel(1));
    CHECK((status_of(cache.options.place).st_mode & 07777) == 0700);
    CHECK((status_of(cache.entry()).st_mode & 07777) == 0600);
}

TEST_CASE("a kernel from the cache is loaded like an unpacked one, without the entry's trailer", "[cache]") {
    const ScratchCache cache;
    // One segment of a MiB and a bit, to the very end of the ELF.
    Bytes elf = elf64(0x100000, {{1, 0x1000, 0x100000, 0x100000, 0x120123, 0x130000, 0x1000}});
    append(elf, large_kernel(2));
    elf.resize(0x121123);
    const std::string path = cache.file("vmlinuz", bzimage_of(elf));
    CHECK(cache.boot(path).line == "stored in " + cache.options.place);
    const Image kernel = Image::open(path).value();
    const KernelChoice choice = choose_kernel(kernel, Protocol::Auto).value();
    std::optional<Image> cached = unpack_cached(kernel, choice, MiB(8), cache.options).value();
    REQUIRE(cached);
    REQUIRE(cached->file() != nullptr);
    const UnpackedKernel vmlinux = read_unpacked(std::move(*cached));
    Guest guest(MiB(8));
    guest.request.vmlinux = &vmlinux;
    const Result<EntryState> entry = load_guest(kernel, choice, guest.request, guest.ram, guest.map);
    REQUIRE(entry);
    CHECK(entry->rip == 0x100000);
    CHECK(guest.at(0x100000, 0x120123) == Bytes(elf.begin() + 0x1000, elf.end()));
    CHECK(guest.at(0x100000 + 0x120123, 0xfedd) == Bytes(0xfedd));
    CHECK_FALSE(vmlinux.image.read(elf.size() - 1, std::as_writable_bytes(std::span(elf.data(), 2))));
}

TEST_CASE("a kernel that was written over is unpacked again, and takes the place of its entry", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    (void)cache.boot(path);
    const struct stat before = status_of(path);
    (void)cache.kernel("vmlinuz", 2);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    REQUIRE(status_of(path).st_ino == before.st_ino);
    REQUIRE(status_of(path).st_size == before.st_size);
    const Outcome again = cache.boot(path);
    CHECK(again.line == "stored in " + cache.options.place);
    CHECK(again.elf == large_kernel(2));
    CHECK(cache.boot(path).elf == large_kernel(2));
    CHECK(cache.entries().size() == 1);
}

TEST_CASE("a kernel that differs only in its change time is not taken for the old one", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    (void)cache.boot(path);
    CHECK(cache.boot(path).is_hit);
    wait_a_tick();
    REQUIRE(::chmod(path.c_str(), 0600) == 0);
    CHECK_FALSE(cache.boot(path).is_hit);
    CHECK(cache.boot(path).is_hit);
}

TEST_CASE("another kernel by the same name, and a copy by another, have entries of their own", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    (void)cache.boot(path);
    const std::string other = cache.kernel("new", 2);
    REQUIRE(::rename(other.c_str(), path.c_str()) == 0);
    CHECK(cache.boot(path).elf == large_kernel(2));
    CHECK(cache.boot(cache.kernel("copy", 2)).line == "stored in " + cache.options.place);
    CHECK(cache.boot(path).is_hit);
}

TEST_CASE("a kernel that changed a moment ago is not stored", "[cache]") {
    ScratchCache cache;
    cache.options.settling_ns = 3'600'000'000'000;  // however long the host stalls
    const std::string path = cache.kernel("vmlinuz", 1);
    set_used(path, 1'000'000'000);  // which leaves its ctime at now
    const Outcome outcome = cache.boot(path);
    CHECK(outcome.line ==
          "not cached in " + cache.options.place +
              ": the bzImage changed within the last 2 seconds, and may change again unnoticed");
    CHECK(outcome.elf == large_kernel(1));
    CHECK(cache.entries().empty());
}

TEST_CASE("a kernel that does not fit the guest is refused as without a cache", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    (void)cache.boot(path);
    const Outcome outcome = cache.boot(path, MiB(1) + KiB(512) - 4096);
    CHECK_THAT(outcome.error, Contains("the limit is"));
    CHECK(outcome.line.empty());
}

TEST_CASE("small payloads, ELF kernels and switched-off caches leave no trace", "[cache]") {
    ScratchCache cache;
    const Outcome small = cache.boot(cache.file("small", bzimage_of(kernel64())));
    CHECK(small.elf == kernel64());
    CHECK(small.line.empty());
    const Outcome elf = cache.boot(cache.file("vmlinux", large_kernel(1)));
    CHECK(elf.elf.empty());
    CHECK(elf.error.empty());
    CHECK(elf.line.empty());
    const std::string place = std::exchange(cache.options.place, "off");
    const Outcome off = cache.boot(cache.kernel("vmlinuz", 1));
    CHECK(off.elf == large_kernel(1));
    CHECK(off.line.empty());
    CHECK(::access(place.c_str(), F_OK) != 0);
}

TEST_CASE("the place is the option's, or the environment's", "[cache]") {
    ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const std::string home = cache.path() + "/home";
    const std::string xdg = cache.path() + "/xdg";
    const std::string own = cache.path() + "/own";
    REQUIRE(::mkdir(home.c_str(), 0755) == 0);
    const Variable home_variable("HOME", home.c_str());
    const Variable no_xdg("XDG_CACHE_HOME", nullptr);
    const Variable no_own("MAYFLY_CACHE_DIR", nullptr);
    CHECK(cache.boot(path).line == "stored in " + cache.options.place);
    cache.options.place.clear();
    CHECK(cache.boot(path).line == "stored in " + home + "/.cache/mayfly/kernels");
    const Variable relative_xdg("XDG_CACHE_HOME", "relative");
    CHECK(cache.boot(path).line == "cached in " + home + "/.cache/mayfly/kernels");
    const Variable xdg_variable("XDG_CACHE_HOME", xdg.c_str());
    CHECK(cache.boot(path).line == "stored in " + xdg + "/mayfly/kernels");
    const Variable own_variable("MAYFLY_CACHE_DIR", own.c_str());
    CHECK(cache.boot(path).line == "stored in " + own);
    const Variable off("MAYFLY_CACHE_DIR", "off");
    CHECK(cache.boot(path).line.empty());
}

TEST_CASE("without a home nothing is cached, and a home that does not exist is not made", "[cache]") {
    ScratchCache cache;
    cache.options.place.clear();
    const std::string path = cache.kernel("vmlinuz", 1);
    const Variable no_home("HOME", nullptr);
    const Variable no_xdg("XDG_CACHE_HOME", nullptr);
    const Variable no_own("MAYFLY_CACHE_DIR", nullptr);
    const Outcome homeless = cache.boot(path);
    CHECK(homeless.line == "not cached: neither XDG_CACHE_HOME nor HOME is an absolute path");
    CHECK(homeless.elf == large_kernel(1));
    const std::string nowhere = cache.path() + "/nonexistent";
    const Variable home("HOME", nowhere.c_str());
    const Outcome lost = cache.boot(path);
    CHECK_THAT(lost.line,
               Contains("not cached in " + nowhere) && Contains("mkdir") && Contains("No such file"));
    CHECK(lost.elf == large_kernel(1));
    CHECK(::access(nowhere.c_str(), F_OK) != 0);
}
