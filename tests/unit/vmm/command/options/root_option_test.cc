// SPDX-License-Identifier: Apache-2.0
// The values of --root, and the share that a live root adds.
#include "vmm/command/options/root_option.h"

#include <unistd.h>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

std::string refused(std::string_view text) {
    const Result<RootChoice> root = parse_root(text);
    REQUIRE_FALSE(root.has_value());
    return root.error().message();
}

BootConfig with_root(RootKind kind) {
    BootConfig config;
    config.exec =
        ExecConfig{.program = "/bin/true", .arguments = {}, .root = "dir", .root_kind = kind, .modules = {}};
    return config;
}

std::string live_root_refused(BootConfig config) {
    const Result<void> added = add_live_root(config);
    REQUIRE_FALSE(added.has_value());
    return added.error().message();
}

}  // namespace

TEST_CASE("a root is a copy, or live, or live and written", "[root_option]") {
    CHECK(parse_root("")->directory.empty());
    CHECK(parse_root("dir")->directory == "dir");
    CHECK(parse_root("dir")->kind == RootKind::Packed);
    CHECK(parse_root("dir,live")->directory == "dir");
    CHECK(parse_root("dir,live")->kind == RootKind::Overlay);
    CHECK(parse_root("/,live,rw")->directory == "/");
    CHECK(parse_root("/,live,rw")->kind == RootKind::Writable);
    CHECK(parse_root("a,,b")->directory == "a,b");
    CHECK(parse_root("a,,live")->kind == RootKind::Packed);
}

TEST_CASE("a root's words are refused by name", "[root_option]") {
    CHECK(refused("dir,rw") ==
          "--root dir,rw: ,rw is for a live root; of any other the guest has a copy, which it may write "
          "(--root DIR,live,rw, or leave ,rw out)");
    CHECK(refused("dir,live,ro") ==
          "--root: 'ro' is not known (--root DIR[,live[,rw]]; a comma in a name is written ',,')");
    CHECK(refused("dir,") ==
          "--root: '' is not known (--root DIR[,live[,rw]]; a comma in a name is written ',,')");
    CHECK(refused(",live") == "--root ,live: names no directory (--root DIR[,live[,rw]])");
}

TEST_CASE("a live root is a share of its own, behind the user's", "[root_option]") {
    BootConfig packed = with_root(RootKind::Packed);
    REQUIRE(add_live_root(packed).has_value());
    CHECK(packed.shares.empty());
    BootConfig none;
    REQUIRE(add_live_root(none).has_value());
    CHECK(none.shares.empty());
    for (const RootKind kind : {RootKind::Overlay, RootKind::Writable}) {
        BootConfig config = with_root(kind);
        config.shares.emplace_back();
        REQUIRE(add_live_root(config).has_value());
        REQUIRE(config.shares.size() == 2);
        const ShareConfig& root = config.shares.back();
        CHECK(root.tag == "root");
        CHECK(root.mount_point == "/");
        CHECK(root.options.directory == "dir");
        CHECK(root.options.is_read_only == (kind == RootKind::Overlay));
        CHECK(root.options.announces_mounts == (kind == RootKind::Writable));
        // An ordinary user's files belong to root there, as in a copy.
        CHECK(root.options.owner.has_value() == (::geteuid() != 0));
    }
}

TEST_CASE("a root is written to only on request", "[root_option]") {
    BootConfig config = with_root(RootKind::Writable);
    config.exec->copies_in = {{.host = "file", .guest = "/etc/file"}};
    CHECK(live_root_refused(config) ==
          "--copy-in file:/etc/file: would change dir, which is the guest's root itself (without ,rw copies "
          "lie "
          "over it, in the guest's memory)");
    config.exec->root_kind = RootKind::Overlay;
    CHECK(add_live_root(config).has_value());
}

TEST_CASE("no other share may have a live root's tag", "[root_option]") {
    BootConfig config = with_root(RootKind::Overlay);
    config.shares.emplace_back();
    config.shares.back().tag = "root";
    CHECK(live_root_refused(config) == "--share tag=root: is the tag of --root dir (give the share another)");
}
