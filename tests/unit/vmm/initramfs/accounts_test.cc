// SPDX-License-Identifier: Apache-2.0
#include "vmm/initramfs/accounts.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1001:Ann:/home/ann:/bin/sh\nbad\n:::\n12:x:77:78::/named:\n"
    "nohome:x:5:6:::\nhuge:x:4294967295:1:::\nnan:x:1:y:::\nlast:x:8:9::/last";
constexpr std::string_view kGroup =
    "root:x:0:\npeople:x:1001:\nwheel:x:10:root,ann\nvideo:x:44:annabel,ann\nodd:x:nan:ann\nbad";

Account account(std::string_view user) { return *find_account(user, kPasswd, kGroup); }

std::string refusal(std::string_view user) {
    const Result<Account> found = find_account(user, kPasswd, kGroup);
    REQUIRE_FALSE(found.has_value());
    return found.error().message();
}

}  // namespace

TEST_CASE("without --user the program is root, with the root's home") {
    CHECK(account("").uid == 0);
    CHECK(account("").home == "/root");
    CHECK(account("").groups == std::vector<u32>{10});
    const Account bare = *find_account("", "", "");
    CHECK((bare.uid == 0 && bare.gid == 0 && bare.home == "/" && bare.groups.empty()));
}

TEST_CASE("a user is found by name, then by number, with its groups") {
    for (const char* user : {"ann", "1000"}) {
        CHECK(account(user).uid == 1000);
        CHECK(account(user).gid == 1001);
        CHECK(account(user).home == "/home/ann");
        CHECK(account(user).groups == std::vector<u32>{10, 44});
    }
    CHECK(account("12").uid == 77);  // a name that is a number
    CHECK(account("nohome").home == "/");
    CHECK(account("last").home == "/last");
}

TEST_CASE("an unknown number is a user of group 0 without a home") {
    const Account found = account("4000000000");
    CHECK((found.uid == 4000000000 && found.gid == 0 && found.home == "/" && found.groups.empty()));
}

TEST_CASE("a user with an explicit group is in no other") {
    for (const char* user : {"ann:video", "ann:44", "1000:video"}) {
        CHECK(account(user).gid == 44);
        CHECK(account(user).groups.empty());
    }
    CHECK(account("ann:7").gid == 7);
    CHECK(account(":video").uid == 0);
    CHECK(account("ann:").gid == 1001);
}

TEST_CASE("a name that the root's files lack is refused") {
    CHECK(refusal("bob").starts_with("--user bob: no user bob in the root's /etc/passwd"));
    CHECK(refusal("ann:cooks").starts_with("--user ann:cooks: no group cooks in the root's /etc/group"));
    CHECK(refusal("4294967296").find("no user 4294967296") != std::string::npos);
    CHECK(refusal("4294967295").find("has no number") != std::string::npos);  // -1 for setresuid(2)
    CHECK(refusal("huge") == "--user huge: huge has no number that is one in the root's /etc/passwd");
    CHECK(refusal("nan").find("has no number") != std::string::npos);
    CHECK(refusal("ann:odd").find("/etc/group") != std::string::npos);
    CHECK(refusal("-1").find("no user -1") != std::string::npos);
    CHECK(refusal("1 ").find("no user") != std::string::npos);
}
