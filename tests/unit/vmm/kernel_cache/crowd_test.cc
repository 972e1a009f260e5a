// SPDX-License-Identifier: Apache-2.0
#include <csignal>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/kernel_cache/scratch_cache.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr int kSkipped = 77;

/// Runs the function in a process of its own, whose status is the returned value.
template <typename Body>
pid_t start(Body body) {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(body());
    return pid;
}

int status_of(pid_t pid) {
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/// A mount namespace without /proc.
bool hide_proc() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("none", "/proc", "tmpfs", 0, "size=64k") == 0;
}

int fight(const ScratchCache& cache, const std::string& path, const Bytes& expected) {
    for (int round = 0; round < 20; ++round) {
        // The file's ctime changes, so that every round stores again, in the same place.
        if (::chmod(path.c_str(), round % 2 == 0 ? 0600 : 0644) != 0) return 2;
        const Outcome outcome = cache.boot(path);
        if (outcome.elf != expected) return 3;
        if (!outcome.line.starts_with("stored in") && !outcome.line.starts_with("cached in")) return 4;
    }
    return 0;
}

}  // namespace

TEST_CASE("processes that store the same kernel at once all get it, and leave one entry", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const Bytes expected = large_kernel(1);
    std::vector<pid_t> pids;
    for (int i = 0; i < 3; ++i) pids.push_back(start([&] { return fight(cache, path, expected); }));
    for (const pid_t pid : pids) CHECK(status_of(pid) == 0);
    CHECK(cache.entries().size() == 1);
    CHECK(cache.boot(path).elf == expected);
    CHECK(cache.boot(path).is_hit);
}

TEST_CASE("a process that is killed while it stores leaves nothing that is used", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const Bytes expected = large_kernel(1);
    for (useconds_t delay_us = 0; delay_us < 30'000; delay_us += 1'500) {
        const pid_t pid = start([&] { return fight(cache, path, expected); });
        ::usleep(delay_us);
        ::kill(pid, SIGKILL);
        (void)status_of(pid);
        const Outcome outcome = cache.boot(path);
        CHECK(outcome.elf == expected);
        // No reason is added: no bad entry was met.
        CHECK((outcome.line == "stored in " + cache.options.place ||
               outcome.line == "cached in " + cache.options.place));
    }
    CHECK(cache.entries().size() == 1);
}

TEST_CASE("without /proc an entry is written under another name first", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    const Bytes expected = large_kernel(1);
    const int status = status_of(start([&] {
        if (!hide_proc()) return kSkipped;
        if (::access("/proc/self", F_OK) == 0) return 2;
        if (cache.boot(path).line != "stored in " + cache.options.place) return 3;
        const Outcome second = cache.boot(path);
        if (!second.is_hit || second.elf != expected) return 4;
        return fight(cache, path, expected);
    }));
    if (status == kSkipped) {
        WARN("skipped: /proc can be hidden by root only");
        return;
    }
    CHECK(status == 0);
    CHECK(cache.entries().size() == 1);
}

TEST_CASE("a mapped entry outlives its removal", "[cache]") {
    const ScratchCache cache;
    const std::string path = cache.kernel("vmlinuz", 1);
    (void)cache.boot(path);
    const Image kernel = Image::open(path).value();
    const KernelChoice choice = choose_kernel(kernel, Protocol::Auto).value();
    const std::optional<Image> cached = unpack_cached(kernel, choice, MiB(8), cache.options).value();
    REQUIRE(cached);
    REQUIRE(cached->file() != nullptr);
    REQUIRE(::unlink(cache.entry().c_str()) == 0);
    Bytes elf(cached->size_bytes());
    REQUIRE(cached->read(0, elf));
    CHECK(elf == large_kernel(1));
}
