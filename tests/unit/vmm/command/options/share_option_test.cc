// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/share_option.h"

#include <stdlib.h>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/command/options/boot_options.h"

using namespace mayfly;

namespace {

const std::string kLongTag(37, 't');

ShareConfig share(const std::string& text) { return parse_share(text, std::nullopt).value(); }

template <typename Value>
void check_refused(const Result<Value>& result, const std::string& part) {
    REQUIRE_FALSE(result);
    INFO(result.error().message());
    CHECK(result.error().kind() == ErrorKind::Invalid);
    CHECK_THAT(result.error().message(), Catch::Contains(part));
}

Result<std::vector<ShareConfig>> settled(const std::vector<std::string>& texts, bool has_exec) {
    std::vector<ShareConfig> shares;
    for (const std::string& text : texts) shares.push_back(share(text));
    TRY_VOID(settle_shares(shares, has_exec));
    return shares;
}

}  // namespace

TEST_CASE("a share is a directory, and perhaps a place in the guest", "[share_option]") {
    CHECK(share("data").options.directory == "data");
    CHECK(share("data").mount_point.empty());
    CHECK(share("/srv/data:/mnt").options.directory == "/srv/data");
    CHECK(share("/srv/data:/mnt").mount_point == "/mnt");
    CHECK(share("/a:/b:/c").options.directory == "/a:/b");
    CHECK(share("/a:/b:/c").mount_point == "/c");
    CHECK(share("a:b:/c").options.directory == "a:b");
    CHECK(share("a,,b:/c,,d,ro").options.directory == "a,b");
    CHECK(share("a,,b:/c,,d,ro").mount_point == "/c,d");
    CHECK(share("a:/sys\\:/0\\:1").options.directory == "a");
    CHECK(share("a:/sys\\:/0\\:1").mount_point == "/sys:/0:1");
    CHECK(share("a://x/./y/").mount_point == "/x/y");
    for (const char* none : {"", ",ro", ":/x", "tag=x,"}) {
        INFO(none);
        CHECK_FALSE(parse_share(none, std::nullopt));
    }
}

TEST_CASE("a place that a share cannot have is refused with a remedy", "[share_option]") {
    check_refused(parse_share("a:/", std::nullopt), "--root a,live");
    check_refused(parse_share("a:/./", std::nullopt), "--root a,live");
    check_refused(parse_share("a:/x/../y", std::nullopt), "no '..'");
    check_refused(parse_share("a:/x:ro", std::nullopt), "/x:ro has a colon (DIR:/MOUNT; read-only is ,ro;");
    check_refused(parse_share(":/x", std::nullopt), "names no directory");
}

TEST_CASE("a share's keys are kept", "[share_option]") {
    const ShareConfig plain = share("a");
    CHECK_FALSE(plain.options.is_read_only);
    CHECK(plain.options.cache == ShareCache::Auto);
    CHECK_FALSE(plain.options.owner);
    CHECK(plain.tag.empty());

    const ShareConfig full = share("a,ro,cache=never,owner=1000:100,tag=data");
    CHECK(full.options.is_read_only);
    CHECK(full.options.cache == ShareCache::Never);
    REQUIRE(full.options.owner);
    CHECK(full.options.owner->uid == 1000);
    CHECK(full.options.owner->gid == 100);
    CHECK(full.tag == "data");
    CHECK(share("a,cache=always").options.cache == ShareCache::Always);
    CHECK(share("a,cache=auto").options.cache == ShareCache::Auto);
    CHECK(share("a,owner=7").options.owner->gid == 7);
    CHECK(share("a,tag=" + kLongTag.substr(1)).tag.size() == 36);
}

TEST_CASE("an unknown key of a share is refused with the known ones", "[share_option]") {
    const auto refused = [](const std::string& words, const std::string& part) {
        check_refused(parse_share("a," + words, std::nullopt), part);
    };
    refused("rw", "'rw' is not known (--share DIR[:MOUNT]");
    refused("ro=yes", "'ro=' is not known");
    refused("", "'' is not known");
    refused("cache", "'cache' is not known");
    refused("cache=none", "cache=none is not known (one of: auto, always, never)");
    refused("owner=bob", "'bob' is not a number from 0 to 4294967294");
    refused("owner=1:", "'' is not a number");
    refused("owner=4294967295", "'4294967295' is not a number");
    refused("owner=1:-1", "'-1' is not a number");
    refused("tag=", "1 to 36 printable");
    refused("tag=" + kLongTag, "1 to 36 printable");
    refused("tag=a b", "no blanks");
    refused("tag=a\n", "1 to 36 printable");
    refused("tag=\xc3\xa4", "1 to 36 printable");
}

TEST_CASE("files keep the host's owners if mayfly runs as root, else belong to root", "[share_option]") {
    CHECK_FALSE(default_share_owner(0));
    REQUIRE(default_share_owner(1000));
    CHECK(default_share_owner(1000)->uid == 0);
    CHECK(default_share_owner(1000)->gid == 0);
    CHECK(parse_share("a", ShareOwner{})->options.owner);
    CHECK_FALSE(parse_share("a,owner=host", ShareOwner{})->options.owner);
}

TEST_CASE("a share without a tag has its device's name", "[share_option]") {
    const auto shares = settled({"/usr", "/etc,tag=conf", "/bin"}, false);
    REQUIRE(shares);
    CHECK((*shares)[0].tag == "share0");
    CHECK((*shares)[1].tag == "conf");
    CHECK((*shares)[2].tag == "share2");
    CHECK((*shares)[0].mount_point.empty());
    check_refused(settled({"/usr,tag=x", "/etc,tag=x"}, false), "--share /etc: /usr has the tag x already");
    check_refused(settled({"/usr,tag=share1", "/etc"}, false), "has the tag share1 already");
}

TEST_CASE("with a program, a share without a place is where it is on the host", "[share_option]") {
    char made[] = "/tmp/share_option.XXXXXX";
    REQUIRE(::mkdtemp(made) != nullptr);
    const std::string directory = made;
    const std::string link = directory + "/link";
    REQUIRE(::symlink("/usr", link.c_str()) == 0);
    const auto shares = settled({link, directory + "/../../etc", directory + ":/x"}, true);
    const Result<std::vector<ShareConfig>> missing = settled({directory + "/none"}, true);
    const Result<std::vector<ShareConfig>> suffix = settled({directory + ":ro"}, true);
    (void)::unlink(link.c_str());
    (void)::rmdir(made);
    REQUIRE(shares);
    CHECK((*shares)[0].options.directory == link);
    CHECK((*shares)[0].mount_point == "/usr");
    CHECK((*shares)[1].mount_point == "/etc");
    CHECK((*shares)[2].mount_point == "/x");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().message() == "open --share: " + directory + "/none: No such file or directory");
    REQUIRE_FALSE(suffix);
    CHECK_THAT(suffix.error().message(), Catch::Contains("read-only is ,ro"));
}

TEST_CASE("two shares are not in one place, and none is the root", "[share_option]") {
    check_refused(settled({"/usr:/x", "/etc:/x/"}, true), "--share /etc: /usr is mounted at /x already");
    check_refused(settled({"/"}, true), "--root /,live");
    CHECK(settled({"/"}, false));
}

TEST_CASE("without a program nobody mounts a share at its place", "[share_option]") {
    check_refused(settled({"/usr:/x"}, false),
                  "/x is for --exec's init, which mounts it there (without --exec the guest mounts it by its "
                  "tag: mount -t virtiofs share0 /x)");
}

TEST_CASE("a boot has as many shares as are given, up to 16", "[share_option]") {
    BootArguments arguments;
    for (int i = 0; i < 16; ++i) arguments.shares.emplace_back("/usr,ro");
    const Result<BootConfig> config = boot_config(arguments);
    REQUIRE(config);
    REQUIRE(config->shares.size() == 16);
    CHECK(config->shares[15].tag == "share15");
    CHECK(config->shares[15].options.is_read_only);
    CHECK(config->shares[0].options.owner.has_value() == (::geteuid() != 0));
    arguments.shares.emplace_back("/usr");
    check_refused(boot_config(arguments), "17 times --share; the limit is 16");
}
