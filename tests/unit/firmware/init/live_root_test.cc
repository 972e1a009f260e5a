// SPDX-License-Identifier: Apache-2.0
// How init makes a directory its root, in a mount namespace of this test's own, where another directory plays
// the host's; the device that shares it is the test's.
#include "firmware/init/live_root.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "firmware/init/name_files.h"
#include "firmware/init/set_up.h"
#include "firmware/init/shares.h"
#include "tests/unit/firmware/init/said.h"

using namespace mayfly;
using namespace mayfly::init;
namespace fs = std::filesystem;

namespace {

unsigned long flags_asked_for = 0;
std::string failures;

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

/// In a process that Catch does not know.
void expect(bool is_so, const char* what) {
    if (!is_so) failures += std::string(what) + "\n";
}
#define EXPECT(condition) expect(condition, #condition)

/// The unpacked archive of a guest with a live root, with the host's directory beside it.
void make_guest() {
    for (const char* name : {"proc", "sys", "dev", "tmp", "run", ".mayfly", ".mayfly/bin", "host", "host/etc",
                             "host/old", "host/proc", "host/sys", "host/dev"})
        fs::create_directory(name);
    std::ofstream(".mayfly/bin/program") << "ours";
    std::ofstream("host/etc/name") << "the host's";
    std::ofstream("host/etc/hosts") << "192.0.2.1\ttheirs";
    std::ofstream("host/etc/resolv.conf") << "nameserver 192.0.2.2\n";
    std::ofstream("host/old/file") << "old";
    REQUIRE(::chmod("host", 0700) == 0);
}

/// Runs `inside` in such a guest, as its root, then `seen` on the host's directory. \returns the failures in
/// the guest.
std::string in_guest(const std::function<void()>& inside, const std::function<void(const fs::path&)>& seen) {
    char name[] = "/tmp/mayfly-live-root-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    const fs::path place = name;
    int ends[2] = {};
    REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const bool is_there = ::unshare(CLONE_NEWNS) == 0 &&
                              ::mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) == 0 &&
                              ::mount(name, name, "", MS_BIND, nullptr) == 0 && ::chdir(name) == 0;
        if (!is_there) std::_Exit(77);
        make_guest();
        if (::chroot(".") != 0) std::_Exit(77);
        inside();
        const std::string said = test::take_said();
        if (!said.empty()) failures += "said: " + said;
        static_cast<void>(!::write(ends[1], failures.data(), failures.size()));
        std::_Exit(0);
    }
    ::close(ends[1]);
    std::string text;
    char piece[4096];
    for (ssize_t got = 0; (got = ::read(ends[0], piece, sizeof(piece))) > 0;)
        text.append(piece, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        std::perror("skipped: no mount namespace for this test");
        std::_Exit(77);
    }
    CHECK(status == 0);
    seen(place / "host");
    std::error_code ignored;
    fs::remove_all(place, ignored);
    return text;
}

}  // namespace

long init::mount_device(const char* tag, const char* place, u64 flags) {
    expect(std::string(tag) == "root", "the tag is root");
    flags_asked_for = flags;
    return ::mount("/host", place, "", MS_BIND, nullptr) == 0 ? 0 : -errno;
}

TEST_CASE(
    "over an overlay's directory the guest writes, renames and removes, and the host's stays as it was") {
    const auto inside = [] {
        std::ofstream("/dev/node") << "dev";
        EXPECT(enter_live_root(JobRoot::Overlay) == 0);
        EXPECT(flags_asked_for == MS_RDONLY);
        EXPECT(text_of("/etc/name") == "the host's");
        EXPECT(text_of("/dev/node") == "dev");
        EXPECT(text_of("/dev/.mayfly/bin/program") == "ours");
        EXPECT(!fs::exists("/host"));
        std::ofstream("/etc/name") << "the guest's";
        EXPECT(text_of("/etc/name") == "the guest's");
        EXPECT(::rename("/old", "/new") == 0);
        EXPECT(text_of("/new/file") == "old");
        EXPECT(::unlink("/etc/hosts") == 0);
        struct stat status {};
        EXPECT(::stat("/", &status) == 0 && status.st_mode == (S_IFDIR | 0755));
        EXPECT(::stat("/tmp", &status) == 0 && status.st_mode == (S_IFDIR | 01777));
        EXPECT(fs::is_directory("/run"));
    };
    CHECK(in_guest(inside, [](const fs::path& host) {
              CHECK(text_of(host / "etc/name") == "the host's");
              CHECK(text_of(host / "etc/hosts") == "192.0.2.1\ttheirs");
              CHECK(fs::exists(host / "old/file"));
              for (const char* name : {"new", "tmp", "run", "dev/.mayfly"})
                  CHECK_FALSE(fs::exists(host / name));
          }).empty());
}

TEST_CASE("an overlay's directory may lack the mount points of the kernel's file systems") {
    const auto inside = [] {
        for (const char* name : {"/host/proc", "/host/sys", "/host/dev"}) fs::remove(name);
        std::ofstream("/dev/node") << "dev";
        EXPECT(enter_live_root(JobRoot::Overlay) == 0);
        EXPECT(text_of("/dev/node") == "dev");
        EXPECT(fs::is_directory("/proc"));
    };
    CHECK(in_guest(inside, [](const fs::path& host) { CHECK_FALSE(fs::exists(host / "proc")); }).empty());
}

TEST_CASE("a shared root gets the guest's writes, and nothing from init") {
    const auto inside = [] {
        EXPECT(enter_live_root(JobRoot::Shared) == 0);
        EXPECT(flags_asked_for == 0);
        std::ofstream("/etc/name") << "the guest's";
        Lines servers;
        servers.add("nameserver ", "192.0.2.53");
        write_resolv_conf(servers, NamePlace::Beside);
        EXPECT(text_of("/etc/resolv.conf") == "nameserver 192.0.2.53\n");
        Lines names;
        names.add("192.0.2.9", "\t", "mayfly");
        add_to_hosts(names, NamePlace::Beside);
        EXPECT(text_of("/etc/hosts") == "192.0.2.1\ttheirs\n192.0.2.9\tmayfly\n");
    };
    CHECK(in_guest(inside, [](const fs::path& host) {
              CHECK(text_of(host / "etc/name") == "the guest's");
              CHECK(text_of(host / "etc/hosts") == "192.0.2.1\ttheirs");
              CHECK(text_of(host / "etc/resolv.conf") == "nameserver 192.0.2.2\n");
              for (const char* name : {"tmp", "run", "dev/.mayfly"}) CHECK_FALSE(fs::exists(host / name));
          }).empty());
}

TEST_CASE("a shared root without a name file is reported, and stays without") {
    const auto inside = [] {
        fs::remove("/host/etc/resolv.conf");
        fs::remove("/host/etc/hosts");
        EXPECT(enter_live_root(JobRoot::Shared) == 0);
        Lines lines;
        lines.add("192.0.2.9", "\t", "mayfly");
        write_resolv_conf(lines, NamePlace::Beside);
        add_to_hosts(lines, NamePlace::Beside);
        EXPECT(test::take_said() ==
               "cannot mount over /etc/resolv.conf, which the host's directory must contain: ENOENT\n"
               "cannot mount over /etc/hosts, which the host's directory must contain: ENOENT\n");
    };
    CHECK(in_guest(inside, [](const fs::path& host) { CHECK(fs::is_empty(host / "etc") == false); }).empty());
}

TEST_CASE("a shared root without a mount point is refused") {
    const auto inside = [] {
        fs::remove("/host/sys");
        EXPECT(enter_live_root(JobRoot::Shared) == -ENOENT);
        EXPECT(test::take_said() == "cannot mount /sys in the live root: ENOENT\n");
    };
    CHECK(in_guest(inside, [](const fs::path& host) { CHECK_FALSE(fs::exists(host / "sys")); }).empty());
}
