// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/share_mounts.h"

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

ShareConfig share(std::string tag, std::string place, bool is_read_only = false) {
    ShareConfig config;
    config.options.directory = "/srv/" + tag;
    config.options.is_read_only = is_read_only;
    config.tag = std::move(tag);
    config.mount_point = std::move(place);
    return config;
}

using Names = std::vector<std::string_view>;

}  // namespace

TEST_CASE("init mounts the shares that have a place, in order", "[share_mounts]") {
    BootConfig config;
    config.exec.emplace();
    CHECK(share_mounts(config).empty());
    CHECK(share_modules(config).empty());
    config.shares = {share("a", "/mnt"), share("b", ""), share("c", "/mnt/c", true)};
    const std::vector<ShareMount> mounts = share_mounts(config);
    REQUIRE(mounts.size() == 2);
    CHECK(mounts[0].tag == "a");
    CHECK(mounts[0].place == "/mnt");
    CHECK_FALSE(mounts[0].is_read_only);
    CHECK(mounts[1].tag == "c");
    CHECK(mounts[1].is_read_only);
    CHECK(share_modules(config) == Names{"virtiofs"});
}

TEST_CASE("a live root is not one of init's shares, and an overlay is a module too", "[share_mounts]") {
    BootConfig config;
    config.exec.emplace();
    config.shares = {share("a", "/mnt"), share("root", "/")};
    CHECK(share_mounts(config).size() == 2);
    config.exec->root_kind = RootKind::Writable;
    REQUIRE(share_mounts(config).size() == 1);
    CHECK(share_mounts(config)[0].tag == "a");
    CHECK(share_modules(config) == Names{"virtiofs"});
    config.exec->root_kind = RootKind::Overlay;
    CHECK(share_modules(config) == Names{"virtiofs", "overlay"});
}

TEST_CASE("an unknown kernel is not refused for its shares", "[share_mounts]") {
    BootConfig config;
    config.exec.emplace();
    config.shares = {share("a", "/mnt")};
    CHECK(check_share_modules(config, std::nullopt).has_value());
}
