// SPDX-License-Identifier: Apache-2.0
// Copied files in the archive.
#include <algorithm>
#include <atomic>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// A root, a tree beside it, and the copies from that tree.
struct Copies {
    Copies() {
        root.file("bin/true", elf_program(), 0755);
        root.file("etc/passwd", "ann:x:1000:1001::/home/ann:/bin/sh\n");
        root.file("etc/config", "root's");
        root.directory("usr/share", 0711);
        root.symlink("usr/share", "share");
        root.symlink("nowhere", "dangling");
        tree.file("one", "1", 0640);
        tree.file("sub/two", "2", 0700);
        tree.symlink("../one", "sub/link");
        request = request_for("/bin/true", root.path());
    }

    void copy(const std::string& host, const std::string& guest) {
        request.copies_in.push_back({.host = tree.path(host), .guest = guest});
    }
    [[nodiscard]] std::vector<NewcEntry> entries() const {
        const Result<UniqueFd> packed = pack_initramfs(request);
        INFO((packed ? "" : packed.error().message()));
        REQUIRE(packed.has_value());
        return read_newc(read_all(*packed));
    }
    /// Of one copy.
    std::string refused(const std::string& host, const std::string& guest) {
        request.copies_in.clear();
        copy(host, guest);
        return refusal(request);
    }

    ScratchTree root;
    ScratchTree tree;
    InitramfsRequest request;
};

long count(const std::vector<NewcEntry>& entries, const std::string& name) {
    return std::ranges::count_if(entries, [&](const NewcEntry& one) { return one.name == name; });
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a copied tree has its content and modes, and the program's owner") {
    Copies copies;
    copies.request.user = "ann";
    copies.copy("", "/srv/app");
    copies.copy("one", "/opt/");
    const auto entries = copies.entries();
    CHECK(entry(entries, "srv").mode == (S_IFDIR | 0755));
    CHECK(entry(entries, "srv").uid == 0);
    CHECK(entry(entries, "srv/app").uid == 1000);
    CHECK(entry(entries, "srv/app/one").content == "1");
    CHECK(entry(entries, "srv/app/one").mode == (S_IFREG | 0640));
    CHECK(entry(entries, "srv/app/sub/two").gid == 1001);
    CHECK(entry(entries, "srv/app/sub/link").content == "../one");
    CHECK(entry(entries, "opt/one").content == "1");
}

TEST_CASE("the root is unchanged, except for files of the same name") {
    Copies copies;
    copies.copy("one", "/etc/config");
    copies.copy("sub", "/usr/share/");
    copies.copy("", "/share");  // a link to a directory, which stays a link
    copies.copy("one", "/dangling");
    copies.copy("one", "/tmp/./x//one");
    const auto entries = copies.entries();
    CHECK(count(entries, "etc") == 1);
    CHECK(count(entries, "usr/share") == 1);
    CHECK(count(entries, "share") == 1);
    CHECK(count(entries, "tmp") == 1);
    CHECK(entry(entries, "tmp").mode == (S_IFDIR | 01777));
    CHECK(entry(entries, "usr/share").mode == (S_IFDIR | 0711));
    CHECK(count(entries, "etc/config") == 2);
    copies.request.copies_in.clear();
    copies.copy("", "/");
    CHECK(entry(copies.entries(), "sub/two").content == "2");
    CHECK(entry(entries, "usr/share/sub/two").content == "2");
    CHECK(entry(entries, "share/sub/two").content == "2");
    CHECK(entry(entries, "tmp/x").mode == (S_IFDIR | 0755));
    CHECK(entry(entries, "tmp/x/one").content == "1");
    // The root's file comes first, so that Linux ends up with the other.
    const auto config = [](const NewcEntry& one) { return one.name == "etc/config"; };
    CHECK(std::ranges::find_if(entries, config)->content == "root's");
}

TEST_CASE("a later copy sees an earlier one's files") {
    Copies copies;
    copies.copy("sub", "/a/b");
    copies.copy("one", "/a/b/c");
    const auto entries = copies.entries();
    CHECK(count(entries, "a") == 1);
    CHECK(count(entries, "a/b") == 1);
    copies.copy("one", "/a");
    CHECK(entry(copies.entries(), "a/one").content == "1");
    copies.request.copies_in.back().guest = "/a/b/c/d";
    CHECK(has(refusal(copies.request), "/a/b/c: is not a directory in the guest"));
}

TEST_CASE("hard links are kept within a copy, not between copies") {
    Copies copies;
    copies.tree.hard_link("one", "again");
    copies.copy("", "/x");
    copies.copy("", "/y");
    const auto entries = copies.entries();
    CHECK(entry(entries, "x/again").content == "1");
    CHECK(entry(entries, "x/one").content.empty());
    CHECK(entry(entries, "y/again").content == "1");
    CHECK(entry(entries, "x/again").inode == entry(entries, "x/one").inode);
    CHECK(entry(entries, "x/again").inode != entry(entries, "y/again").inode);
}

TEST_CASE("a file copied over one of several hard links leaves the other links") {
    Copies copies;
    copies.root.hard_link("etc/config", "etc/also");
    copies.copy("one", "/etc/config");
    const auto entries = copies.entries();
    const auto is_config = [](const NewcEntry& one) { return one.name == "etc/config"; };
    // The root's file, a link that replaces it in Linux, and the file that replaces the link.
    std::vector<u32> types;
    for (const NewcEntry& one : entries)
        if (is_config(one)) types.push_back(one.mode & S_IFMT);
    CHECK(types == std::vector<u32>{S_IFREG, S_IFLNK, S_IFREG});
    CHECK(std::find_if(entries.rbegin(), entries.rend(), is_config)->content == "1");
    // Copies to one place do not hide each other's files either.
    copies.tree.directory("b");
    copies.tree.hard_link("one", "b/two");
    copies.tree.file("new", "new");
    copies.request.copies_in.clear();
    copies.copy("", "/srv");
    copies.copy("new", "/srv/one");
    copies.copy("b/", "/srv");
    const auto later = copies.entries();
    u32 first = 0;
    for (const NewcEntry& one : later) {
        if (one.name == "srv/one" && first == 0) first = one.inode;
        if (one.name != "srv/two") continue;
        CHECK(one.inode != first);
        CHECK(one.content == "1");
    }
    CHECK(count(later, "srv/two") == 1);
}

TEST_CASE("a file to be written is not packed, and one that changes is refused") {
    Copies copies;
    OutputFiles outputs;
    const std::optional<FileIdentity> identity = FileIdentity::of_name(copies.tree.path("one"));
    REQUIRE(identity.has_value());
    outputs.add("--log", "l", *identity);
    copies.request.outputs = &outputs;
    CHECK(has(copies.refused("one", "/x"), "and --log l are one file"));
    CHECK(has(copies.refused("", "/x"), "and --log l are one file"));
    copies.request.outputs = nullptr;
    // Of the same size; the kernel tells its time once a tick.
    copies.tree.file("sub/busy", "0");
    std::atomic<bool> is_over = false;
    std::thread writer([&] {
        while (!is_over) {
            const int file = ::open(copies.tree.path("sub/busy").c_str(), O_WRONLY);
            for (int i = 0; i < 100; ++i) (void)!::pwrite(file, i % 2 == 0 ? "0" : "1", 1, 0);
            ::close(file);
        }
    });
    copies.copy("", "/x");
    bool is_refused = false;
    for (int tries = 0; tries < 5000 && !is_refused; ++tries) {
        const Result<UniqueFd> packed = pack_initramfs(copies.request);
        is_refused = !packed;
        if (is_refused)
            CHECK(packed.error().message() ==
                  "--copy-in: " + copies.tree.path("sub/busy") + ": was changed while it was packed");
    }
    is_over = true;
    writer.join();
    CHECK(is_refused);
}

TEST_CASE("a copy to an impossible place is refused") {
    Copies copies;
    CHECK(has(copies.refused("none", "/x"), "none: No such file or directory"));
    copies.root.directory("usr/share/one");
    CHECK(has(copies.refused("one", "/usr/share"), "/usr/share/one: is a directory in the guest, where "));
    CHECK(has(copies.refused("one", "/usr/share/"), "/usr/share/one: is a directory in the guest, where "));
    CHECK(has(copies.refused("", "/etc/config"),
              "copies a directory onto /etc/config, which is not a directory"));
    CHECK(has(copies.refused("one", "/etc/config/x"), "/etc/config: is not a directory in the guest"));
    CHECK(has(copies.refused("one", "/a/../etc"), "'..' leads nowhere"));
    for (const char* place : {"/dev/x", "/proc", "//sys/x"})
        CHECK(has(copies.refused("", place), "and hides what else is put there"));
    CHECK(has(copies.refused("one", "/.mayfly/init"), "is a name that the initramfs needs for itself"));
    copies.tree.directory("etc/config");
    CHECK(has(copies.refused("", "/"),
              "copies a directory onto /etc/config, which is not a directory in the guest"));
    REQUIRE(::mkfifo(copies.tree.path("pipe").c_str(), 0600) == 0);
    CHECK(has(copies.refused("pipe", "/x"), "pipe: is neither a file nor a directory"));
    copies.tree.directory("d/.mayfly");
    CHECK(has(copies.refused("d/", "/"), "d/.mayfly: is a name that the initramfs needs for itself"));
}

TEST_CASE("messages name a copied file as the user wrote it") {
    Copies copies;
    copies.tree.sparse("sub/large", u64{1} << 32);
    copies.tree.sparse("huge/3", u64{3} << 30);
    copies.request.bytes_max = ~u64{0};
    CHECK(has(copies.refused("sub", "/srv"), copies.tree.path("sub/large") + ": a file of 4294967296 bytes"));
    copies.request.bytes_max = 1 << 20;
    CHECK(has(copies.refused("huge", "/srv"), "the initramfs takes 3073 MiB"));
}
