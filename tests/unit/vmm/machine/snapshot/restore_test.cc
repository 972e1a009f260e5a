// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/snapshot/restore.h"

#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/machine/snapshot/disk_identity.h"
#include "vmm/machine/snapshot/host_record.h"

namespace mayfly {

namespace {

BootConfig saved_config() {
    BootConfig config;
    config.kernel = "kernel";
    config.memory_bytes = MiB(64);
    config.disks.resize(2);
    config.disks[0].path = "a";
    config.disks[0].queues = 2;
    config.disks[1].path = "b";
    config.disks[1].is_read_only = true;
    config.nets.resize(1);
    config.nets[0].place = "tap0";
    config.nets[0].mac = std::array<u8, 6>{2, 0, 0, 0, 0, 1};
    config.console_device = ConsoleDevice::Serial;
    config.debugcon = "off";
    config.status_rules.success = 5;
    config.timeout = std::chrono::milliseconds(9);
    return config;
}

/// Of what it has, as it was.
BootConfig places() {
    BootConfig config;
    config.disks.resize(2);
    config.disks[0].path = "a";
    config.disks[1].path = "b";
    config.nets.resize(1);
    config.nets[0].place = "tap0";
    return config;
}

std::string refusal_of(const BootConfig& asked) {
    const Result<BootConfig> config = restored_config(saved_config(), asked);
    REQUIRE_FALSE(config.has_value());
    return config.error().message();
}

}  // namespace

TEST_CASE("a restored machine has the saved hardware and what is asked for anew", "[snapshot]") {
    BootConfig asked = places();
    asked.disks[0].path = "other";
    asked.nets[0].kind = NetConfig::Kind::User;
    asked.timeout = std::chrono::milliseconds(100);
    asked.console = "file";
    asked.watch.expect = {"x"};
    const Result<BootConfig> config = restored_config(saved_config(), asked);
    REQUIRE(config.has_value());
    CHECK(config->memory_bytes == MiB(64));
    REQUIRE(config->disks.size() == 2);
    CHECK(config->disks[0].path == "other");
    CHECK(config->disks[0].queues == 2);
    CHECK(config->disks[0].is_overlay);
    CHECK(config->disks[1].path == "b");
    CHECK_FALSE(config->disks[1].is_overlay);
    CHECK(config->nets[0].kind == NetConfig::Kind::User);
    CHECK(config->nets[0].mac == saved_config().nets[0].mac);
    CHECK(config->timeout->count() == 100);
    CHECK(config->console == "file");
    CHECK(config->debugcon == "off");
    CHECK(config->watch.expect.size() == 1);
    CHECK(config->status_rules.success == 5);
    CHECK_FALSE(restored_config(saved_config(), places())->timeout.has_value());
}

TEST_CASE("what the saved machine does not have is refused", "[snapshot]") {
    BootConfig asked = places();
    SECTION("disks") {
        asked.disks.resize(3);
        CHECK(refusal_of(asked) ==
              "--disk was given 3 times, and the snapshot's machine has 2 (a, b) (give each, in its place)");
        asked.disks.clear();
        CHECK(refusal_of(asked) ==
              "--disk was given 0 times, and the snapshot's machine has 2 (a, b) (give each, in its place)");
    }
    SECTION("networks") {
        asked.nets.clear();
        CHECK(refusal_of(asked) ==
              "--net was given 0 times, and the snapshot's machine has 1 (tap0) (give each, in its place)");
    }
    SECTION("a disk that can be written") {
        asked.disks[0].is_read_only = true;
        CHECK(refusal_of(asked) ==
              "--disk a: the snapshot's guest may write this disk, so it cannot be read-only now");
    }
    SECTION("another address") {
        asked.nets[0].mac = std::array<u8, 6>{2, 0, 0, 0, 0, 2};
        CHECK(refusal_of(asked) ==
              "--net tap0: mac= cannot change: the snapshot's guest knows another address");
    }
    SECTION("more queues") {
        asked.disks[0].queues = 8;
        CHECK(refusal_of(asked) == "--disk a: queues= cannot change: the snapshot's guest knows 2");
    }
    SECTION("another MTU") {
        asked.nets[0].mtu = 1400;
        CHECK(refusal_of(asked) == "--net tap0: mtu= cannot change: the snapshot's guest knows none");
    }
    SECTION("another console") {
        asked.console_device = ConsoleDevice::Virtio;
        CHECK(refusal_of(asked) == "--console: the snapshot's guest has another kind of console");
    }
    SECTION("a debug console") {
        asked.debugcon = "stderr";
        CHECK(refusal_of(asked) == "--debugcon stderr: the snapshot's machine lacks a debug console");
    }
}

TEST_CASE("a snapshot of another host is refused with what differs", "[snapshot]") {
    const HostRecord here = this_host(KvmFlavour::Svm, "1");
    CHECK(check_host(here, here).has_value());
    HostRecord made = here;
    made.maker = "2";
    made.kernel = "5.10";
    made.made_seconds = 0;
    made.signature ^= 1;  // its stepping
    CHECK(check_host(made, here).has_value());
    made.flavour = KvmFlavour::Vmx;
    CHECK(check_host(made, here).error().message().find("the snapshot was made with KVM's ") == 0);
    made = here;
    made.vendor = "Mayfly";
    made.signature = 0x000a0f12;
    CHECK(check_host(made, here)
              .error()
              .message()
              .find("the snapshot was made on another processor: Mayfly family 15 model 161 stepping 2, and "
                    "this is ") == 0);
    made = here;
    made.boot_id = "other";
    CHECK(
        check_host(made, here).error().message().find("the snapshot was made before this host was started") ==
        0);
}

TEST_CASE("a disk is known by its size, its time and its edges", "[snapshot]") {
    char path[] = "/tmp/mayfly-disk-XXXXXX";
    const UniqueFd file = UniqueFd::adopt(::mkstemp(path));
    REQUIRE(file.valid());
    REQUIRE(::ftruncate(file.get(), 1 << 20) == 0);
    std::vector<DiskConfig> disks(1);
    disks[0].path = path;
    const Result<std::vector<DiskIdentity>> saved = identities_of(disks);
    REQUIRE(saved.has_value());
    CHECK(check_identities(disks, *saved).has_value());
    struct stat about {};
    REQUIRE(::fstat(file.get(), &about) == 0);
    const timespec times[2]{about.st_mtim, about.st_mtim};

    SECTION("a change that keeps the time") {
        REQUIRE(::pwrite(file.get(), "x", 1, (1 << 20) - 1) == 1);
        REQUIRE(::futimens(file.get(), times) == 0);
        CHECK(check_identities(disks, *saved).error().message() ==
              std::string("--disk ") + path +
                  ": it is not as the snapshot's guest knows it: it has changed since (give an unchanged "
                  "copy (cp -p), "
                  "or make the snapshot again)");
    }
    SECTION("another size") {
        REQUIRE(::ftruncate(file.get(), 4096) == 0);
        CHECK(check_identities(disks, *saved).error().message().find("it has 4096 bytes, and had 1048576") !=
              std::string::npos);
    }
    SECTION("another number of disks") {
        CHECK(check_identities({}, *saved).error().message() ==
              "the snapshot is damaged: it has 1 disks, and its machine 0");
    }
    ::unlink(path);
}

}  // namespace mayfly
