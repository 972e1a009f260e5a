// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/copy_options.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("a copy in has a name here and one in the guest") {
    const auto copy = [](const std::string& text) { return parse_copy_in(text).value(); };
    CHECK(copy("a:/b").host == "a");
    CHECK(copy("a:/b").guest == "/b");
    CHECK(copy("/x/a:b/c:/srv/").host == "/x/a:b/c");
    CHECK(copy("/x/a:b/c:/srv/").guest == "/srv/");
    CHECK(copy("./a:/:/b").host == "./a:/");
    CHECK(copy("a:/sys/0\\:1").guest == "/sys/0:1");
    for (const char* wrong : {"a:/b:ro", "a:/b:c/d", "a:/:b"})
        CHECK_THAT(parse_copy_in(wrong).error().message(), Catch::Contains("has a colon (one that belongs"));
    for (const char* wrong : {"", "a", "a:", "a:b", ":/b", "/a"}) {
        INFO(wrong);
        REQUIRE_FALSE(parse_copy_in(wrong));
        CHECK_THAT(parse_copy_in(wrong).error().message(),
                   Catch::Contains("does not name a place in the guest (HOST:/GUEST;"));
    }
}

TEST_CASE("a copy out has a name in the guest and one here") {
    const auto copy = [](const std::string& text) { return parse_copy_out(text).value(); };
    CHECK(copy("/a:b").guest == "/a");
    CHECK(copy("/a:b").host == "b");
    CHECK(copy("/a:b:c").host == "b:c");
    CHECK(copy("/sys/0000\\:00\\:01.0/x:y").guest == "/sys/0000:00:01.0/x");
    CHECK(copy("/sys/0000\\:00\\:01.0/x:y").host == "y");
    CHECK(copy("/a\\b:c").guest == "/a\\b");
    CHECK(copy("/a:-").host == "-");
    CHECK(copy("/a/r.xml:out/").host_name() == "out/r.xml");
    CHECK(copy("/a/r.xml:out").host_name() == "out");
    CHECK(copy("/a/:out/").host_name() == "out");
    CHECK(copy("/a/:/").host_name() == "/.");
    for (const char* wrong : {"", "a:b", ":b"})
        CHECK_THAT(parse_copy_out(wrong).error().message(), Catch::Contains("an absolute path of the guest"));
    for (const char* wrong : {"/a", "/a:", "/a\\:b"})
        CHECK_THAT(parse_copy_out(wrong).error().message(), Catch::Contains("a place on this host"));
}
