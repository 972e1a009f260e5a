// SPDX-License-Identifier: Apache-2.0
#include "vmm/answer_cache/runtime_directory.h"

#include <cstdlib>

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

std::string by(const char* own, const char* session) {
    own != nullptr ? ::setenv("MAYFLY_RUNTIME_DIR", own, 1) : ::unsetenv("MAYFLY_RUNTIME_DIR");
    session != nullptr ? ::setenv("XDG_RUNTIME_DIR", session, 1) : ::unsetenv("XDG_RUNTIME_DIR");
    return runtime_directory();
}

}  // namespace

TEST_CASE("the runtime directory is ours, the session's, or root's", "[runtime_directory]") {
    const std::string last = ::geteuid() == 0 ? "/run/mayfly" : "";
    CHECK(by("/a/b", "/run/user/7") == "/a/b");
    CHECK(by("off", "/run/user/7").empty());
    CHECK(by("relative", "/run/user/7").empty());
    CHECK(by("", "/run/user/7") == "/run/user/7/mayfly");
    CHECK(by(nullptr, "/run/user/7") == "/run/user/7/mayfly");
    CHECK(by(nullptr, "relative") == last);
    CHECK(by(nullptr, "") == last);
    CHECK(by(nullptr, nullptr) == last);
}
