// SPDX-License-Identifier: Apache-2.0
// Init's work with shares up to the mount, which fails: no share's device exists here.
#include "firmware/init/shares.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/init/said.h"

using namespace mayfly;
using namespace mayfly::init;
namespace fs = std::filesystem;

TEST_CASE("a share's directory is made, and a failure names directory and tag, and ends the mounts") {
    char name[] = "/tmp/mayfly-shares-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    const std::string first = std::string(name) + "/a/b c";
    const std::string second = std::string(name) + "/second";
    const std::string record = "rw " + first;
    const std::string other = "ro " + second;
    const char* const shares[] = {record.c_str(), "no such tag", other.c_str(), "another", nullptr};
    CHECK(mount_shares(shares) < 0);
    struct stat status {};
    REQUIRE(::stat(first.c_str(), &status) == 0);
    CHECK(status.st_mode == (S_IFDIR | 0755));
    CHECK_FALSE(fs::exists(second));
    CHECK_THAT(test::take_said(),
               Catch::StartsWith("cannot mount the host's directory no such tag at " + first + ": "));
    fs::remove_all(name);
}

TEST_CASE("without shares nothing is mounted") {
    const char* const shares[] = {nullptr};
    CHECK(mount_shares(shares) == 0);
    CHECK(test::take_said().empty());
}
