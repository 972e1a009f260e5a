// SPDX-License-Identifier: Apache-2.0
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "tests/unit/vmm/share/fuse_client.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

struct stat status_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::lstat(path.c_str(), &status) == 0);
    return status;
}

bool exists(const std::string& path) {
    struct stat status {};
    return ::lstat(path.c_str(), &status) == 0;
}

}  // namespace

TEST_CASE("a look-up gives a node with the host's attributes", "[share]") {
    const ScratchTree tree;
    tree.file("dir/file", "12345", 0640);
    FuseClient guest(tree.path());
    const u64 directory = guest.look_up("dir");
    const Answer answer = guest.send(kLookup, directory, std::string("file"));
    REQUIRE(answer.error == 0);
    const auto entry = answer.as<fuse_entry_out>();
    const struct stat status = status_of(tree.path("dir/file"));
    CHECK(entry.nodeid > kRoot);
    CHECK(entry.attr.ino == status.st_ino);
    CHECK(entry.attr.size == 5);
    CHECK(entry.attr.mode == (u32{S_IFREG} | 0640));
    CHECK(entry.attr.uid == status.st_uid);
    CHECK(entry.attr.mtime == static_cast<u64>(status.st_mtim.tv_sec));
    CHECK(entry.attr.mtimensec == static_cast<u32>(status.st_mtim.tv_nsec));
    CHECK(entry.entry_valid == 1);
    CHECK(entry.attr_valid == 1);
    CHECK(guest.look_up("dir/file") == entry.nodeid);
}

TEST_CASE("an empty name, a path, or a name that is too long is refused", "[share]") {
    const ScratchTree tree;
    tree.file("a/b");
    FuseClient guest(tree.path() + "/a");
    for (const std::string name : {"", "b/", "/b", "../a", "/etc/passwd", "x/../b"})
        CHECK(guest.send(kLookup, kRoot, name).error == -EINVAL);
    CHECK(guest.send(kLookup, kRoot, std::string(256, 'n')).error == -ENAMETOOLONG);
    CHECK(guest.send(kLookup, kRoot, std::string(60'000, 'n')).error == -ENAMETOOLONG);
    // Longer than any request.
    std::string endless;
    endless.resize(10'000'000, 'n');
    CHECK(guest.send(kLookup, kRoot, endless).error == -EINVAL);
    // Without its terminator.
    CHECK(guest.send_bytes(kLookup, kRoot, Bytes(1, std::byte{'b'})).error == -EINVAL);
    CHECK(guest.look_up("b") != 0);
}

TEST_CASE("files above the directory stay out of reach", "[share]") {
    const ScratchTree tree;
    tree.file("secret");
    tree.directory("shared/sub");
    FuseClient guest(tree.path("shared"));
    const Answer up = guest.send(kLookup, kRoot, std::string(".."));
    REQUIRE(up.error == 0);
    CHECK(up.as<fuse_entry_out>().nodeid == kRoot);
    const u64 sub = guest.look_up("sub");
    CHECK(guest.send(kLookup, sub, std::string("..")).as<fuse_entry_out>().nodeid == kRoot);
    CHECK(guest.send(kLookup, sub, std::string(".")).as<fuse_entry_out>().nodeid == sub);
    for (const u32 opcode : {kUnlink, kRmdir})
        CHECK(guest.send(opcode, kRoot, std::string("../secret")).error < 0);
    CHECK(guest.send(kRmdir, kRoot, std::string("..")).error < 0);
    CHECK(
        guest.send(kRename, kRoot, fuse_rename_in{.newdir = kRoot}, std::string("sub"), std::string("../sub"))
            .error == -EINVAL);
    CHECK(exists(tree.path("secret")));
}

TEST_CASE("an opened file is beneath its directory, whatever the name", "[share]") {
    const ScratchTree tree;
    tree.file("outside/file");
    tree.file("shared/dir/file");
    tree.symlink("../outside", "shared/way");
    const UniqueFd directory = UniqueFd::adopt(::open(tree.path("shared").c_str(), O_PATH | O_DIRECTORY));
    const auto opens = [&](const char* name) {
        return host::open_beneath(directory.get(), name, O_PATH).valid();
    };
    CHECK(opens("dir"));
    for (const char* name : {"..", "../outside", "dir/../../outside", "way/file", "/etc"})
        CHECK_FALSE(opens(name));
    // The link itself, opened for its name only.
    CHECK(opens("way"));
    CHECK_FALSE(host::open_beneath(directory.get(), "way", O_RDONLY).valid());
}

TEST_CASE("the host follows no link", "[share]") {
    const ScratchTree tree;
    tree.file("outside/secret", "secret");
    tree.symlink("../outside", "shared/way");
    tree.symlink("../outside/secret", "shared/file");
    FuseClient guest(tree.path("shared"));
    const u64 way = guest.look_up("way");
    REQUIRE(way != 0);
    CHECK(guest.send(kReadlink, way).text() == "../outside");
    // It cannot be used as a directory.
    CHECK(guest.send(kLookup, way, std::string("secret")).error < 0);
    CHECK(guest.send(kOpen, guest.look_up("file"), fuse_open_in{}).error < 0);
    CHECK(guest.send(kOpendir, way, fuse_open_in{}).error < 0);
    CHECK(guest.send(kUnlink, way, std::string("secret")).error < 0);
    CHECK(exists(tree.path("outside/secret")));
}

TEST_CASE("a directory that becomes a link between a look-up and its use leads nowhere", "[share]") {
    const ScratchTree tree;
    tree.file("outside/file", "secret");
    tree.file("shared/dir/file", "ours");
    FuseClient guest(tree.path("shared"));
    const u64 file = guest.look_up("dir/file");
    REQUIRE(file != 0);
    guest.server().reset();
    FuseClient other(tree.path("shared"));
    const u64 directory = other.look_up("dir");
    const u64 known = other.look_up("dir/file");
    REQUIRE(::rename(tree.path("shared/dir").c_str(), tree.path("shared/moved").c_str()) == 0);
    tree.symlink("../outside", "shared/dir");
    // The directory was opened for the look-up in it, and that descriptor still leads to it.
    const Answer opened = other.send(kOpen, known, fuse_open_in{});
    REQUIRE(opened.error == 0);
    CHECK(other.read(known, opened.as<fuse_open_out>().fh, 0, 100) ==
          Bytes{std::byte{'o'}, std::byte{'u'}, std::byte{'r'}, std::byte{'s'}});
    CHECK(other.send(kLookup, kRoot, std::string("dir")).as<fuse_entry_out>().attr.mode >> 12U == 012);
    CHECK(other.send(kLookup, directory, std::string("file")).error == 0);
}

TEST_CASE("a file whose name now belongs to another is stale", "[share]") {
    const ScratchTree tree;
    tree.file("file", "one");
    FuseClient guest(tree.path());
    const u64 file = guest.look_up("file");
    REQUIRE(::unlink(tree.path("file").c_str()) == 0);
    tree.file("file", "two");
    CHECK(guest.send(kOpen, file, fuse_open_in{}).error == -ESTALE);
    CHECK(guest.send(kGetattr, file, fuse_getattr_in{}).error == -ESTALE);
    const u64 now = guest.look_up("file");
    REQUIRE(now != 0);
    CHECK(guest.send(kOpen, now, fuse_open_in{}).error == 0);
}

TEST_CASE("new files belong to the requesting user, with the mask applied", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    const bool is_root = ::geteuid() == 0;
    if (is_root) guest.set_user(1234, 2345);
    REQUIRE(guest.send(kMkdir, kRoot, fuse_mkdir_in{.mode = 0777, .umask = 027}, std::string("dir")).error ==
            0);
    REQUIRE(guest.send(kSymlink, kRoot, std::string("link"), std::string("target")).error == 0);
    fuse_mknod_in node{};
    node.mode = S_IFIFO | 0666;
    node.umask = 022;
    REQUIRE(guest.send(kMknod, kRoot, node, std::string("fifo")).error == 0);
    fuse_create_in create{};
    create.flags = O_RDWR | O_EXCL;
    create.mode = S_IFREG | 0666;
    REQUIRE(guest.send(kCreate, kRoot, create, std::string("file")).error == 0);
    const auto check = [&](const char* name, mode_t mode) {
        const struct stat status = status_of(tree.path(name));
        CHECK(status.st_mode == mode);
        CHECK(status.st_uid == (is_root ? 1234 : ::geteuid()));
        CHECK(status.st_gid == (is_root ? 2345 : ::getegid()));
    };
    check("dir", S_IFDIR | 0750);
    check("link", S_IFLNK | 0777);
    check("fifo", S_IFIFO | 0644);
    check("file", S_IFREG | 0666);
    // The server is its own user again.
    guest.set_user(0, 0);
    REQUIRE(guest.send(kMkdir, kRoot, fuse_mkdir_in{.mode = 0755, .umask = 0}, std::string("ours")).error ==
            0);
    CHECK(status_of(tree.path("ours")).st_uid == ::geteuid());
}

TEST_CASE("a directory that only its user may write takes that user's files, and another user's too",
          "[share]") {
    if (::geteuid() != 0) return;  // only root can become somebody else
    const ScratchTree tree;
    tree.directory("locked", 0700);
    FuseClient guest(tree.path());
    // The guest's kernel has permitted it, by a group that the host does not know.
    guest.set_user(1234, 2345);
    CHECK(
        guest
            .send(kMkdir, guest.look_up("locked"), fuse_mkdir_in{.mode = 0755, .umask = 0}, std::string("in"))
            .error == 0);
    CHECK(status_of(tree.path("locked/in")).st_uid == 1234);
}

TEST_CASE("an unlinked file stays as long as the guest knows it", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content");
    tree.directory("dir");
    FuseClient guest(tree.path());
    const u64 file = guest.look_up("file");
    const u64 directory = guest.look_up("dir");
    REQUIRE(guest.send(kUnlink, kRoot, std::string("file")).error == 0);
    REQUIRE(guest.send(kRmdir, kRoot, std::string("dir")).error == 0);
    CHECK_FALSE(exists(tree.path("file")));
    const Answer attributes = guest.send(kGetattr, file, fuse_getattr_in{});
    REQUIRE(attributes.error == 0);
    CHECK(attributes.as<fuse_attr_out>().attr.nlink == 0);
    CHECK(guest.send(kGetattr, directory, fuse_getattr_in{}).error == 0);
    CHECK(guest.read(file, guest.open(file), 0, 100).size() == 7);
    CHECK(guest.server().known_count() == 3);
    for (const u64 node : {file, directory}) guest.send(kForget, node, fuse_forget_in{.nlookup = 1});
    CHECK(guest.server().known_count() == 1);
    CHECK(guest.server().open_count() == 0);
}

TEST_CASE("a rename keeps the node, and the one it replaces", "[share]") {
    const ScratchTree tree;
    tree.file("a/file", "moved");
    tree.file("b/file", "replaced");
    FuseClient guest(tree.path());
    const u64 a = guest.look_up("a");
    const u64 b = guest.look_up("b");
    const u64 moved = guest.look_up("a/file");
    const u64 replaced = guest.look_up("b/file");
    REQUIRE(
        guest.send(kRename, a, fuse_rename_in{.newdir = b}, std::string("file"), std::string("file")).error ==
        0);
    CHECK(guest.read(moved, guest.open(moved), 0, 100).size() == 5);
    CHECK(guest.read(replaced, guest.open(replaced), 0, 100).size() == 8);
    CHECK(guest.look_up("b/file") == moved);
    CHECK(guest.look_up("a/file") == 0);
}

TEST_CASE("a renamed directory leads to its files", "[share]") {
    const ScratchTree tree;
    tree.file("old/sub/file", "here");
    FuseClient guest(tree.path());
    const u64 file = guest.look_up("old/sub/file");
    REQUIRE(
        guest.send(kRename, kRoot, fuse_rename_in{.newdir = kRoot}, std::string("old"), std::string("new"))
            .error == 0);
    CHECK(guest.send(kOpen, file, fuse_open_in{}).error == 0);
    CHECK(guest.look_up("new/sub/file") == file);
}

TEST_CASE("the flags of a rename work", "[share]") {
    const ScratchTree tree;
    tree.file("one", "1");
    tree.file("two", "22");
    FuseClient guest(tree.path());
    const u64 one = guest.look_up("one");
    const u64 two = guest.look_up("two");
    const auto rename = [&](u32 flags) {
        return guest
            .send(kRename2, kRoot, fuse_rename2_in{.newdir = kRoot, .flags = flags, .padding = 0},
                  std::string("one"), std::string("two"))
            .error;
    };
    CHECK(rename(RENAME_NOREPLACE) == -EEXIST);
    CHECK(rename(1U << 20U) == -EINVAL);
    REQUIRE(rename(RENAME_EXCHANGE) == 0);
    CHECK(guest.look_up("one") == two);
    CHECK(guest.look_up("two") == one);
    CHECK(guest.read(one, guest.open(one), 0, 10).size() == 1);
    CHECK(guest.read(two, guest.open(two), 0, 10).size() == 2);
}

TEST_CASE("two names of one file are one node, and either may go", "[share]") {
    const ScratchTree tree;
    tree.file("one", "content");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("one");
    const Answer linked = guest.send(kLink, kRoot, fuse_link_in{.oldnodeid = node}, std::string("two"));
    REQUIRE(linked.error == 0);
    CHECK(linked.as<fuse_entry_out>().nodeid == node);
    CHECK(linked.as<fuse_entry_out>().attr.nlink == 2);
    // Onto itself: both stay.
    REQUIRE(
        guest.send(kRename, kRoot, fuse_rename_in{.newdir = kRoot}, std::string("one"), std::string("two"))
            .error == 0);
    CHECK(exists(tree.path("one")));
    REQUIRE(guest.send(kUnlink, kRoot, std::string("two")).error == 0);
    CHECK(guest.send(kOpen, node, fuse_open_in{}).error == 0);
    CHECK(guest.look_up("one") == node);
}

TEST_CASE("a file renamed to its other name keeps both, and uses no further descriptor", "[share]") {
    const ScratchTree tree;
    tree.file("one", "content");
    tree.hard_link("one", "two");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("one");
    REQUIRE(guest.look_up("two") == node);
    REQUIRE(
        guest.send(kRename, kRoot, fuse_rename_in{.newdir = kRoot}, std::string("one"), std::string("two"))
            .error == 0);
    CHECK(exists(tree.path("one")));
    CHECK(exists(tree.path("two")));
    CHECK(guest.server().open_count() == 0);
}

TEST_CASE("a link to a link is a name of the link", "[share]") {
    const ScratchTree tree;
    tree.symlink("nowhere", "link");
    FuseClient guest(tree.path());
    REQUIRE(guest.send(kLink, kRoot, fuse_link_in{.oldnodeid = guest.look_up("link")}, std::string("also"))
                .error == 0);
    CHECK(S_ISLNK(status_of(tree.path("also")).st_mode));
}

TEST_CASE("a missing name is an entry without a node, for as long as the guest may cache names", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    const Answer none = guest.send(kLookup, kRoot, std::string("none"));
    REQUIRE(none.error == 0);
    CHECK(none.as<fuse_entry_out>().nodeid == 0);
    CHECK(none.as<fuse_entry_out>().entry_valid == 1);
    FuseClient::How never{};
    never.cache = ShareCache::Never;
    FuseClient strict(tree.path(), never);
    CHECK(strict.send(kLookup, kRoot, std::string("none")).error == -ENOENT);
}

TEST_CASE("device nodes, FIFOs and sockets are made and named, and never opened", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    fuse_mknod_in node{};
    node.mode = S_IFSOCK | 0666;
    REQUIRE(guest.send(kMknod, kRoot, node, std::string("socket")).error == 0);
    node.mode = S_IFIFO | 0666;
    REQUIRE(guest.send(kMknod, kRoot, node, std::string("fifo")).error == 0);
    std::vector<std::string> names{"socket", "fifo"};
    node.mode = S_IFCHR | 0666;
    node.rdev = 1U << 8U | 3U;  // null
    if (::geteuid() == 0) {
        REQUIRE(guest.send(kMknod, kRoot, node, std::string("null")).error == 0);
        CHECK(status_of(tree.path("null")).st_rdev == makedev(1, 3));
        names.emplace_back("null");
    }
    for (const std::string& name : names) {
        CHECK(guest.send(kOpen, guest.look_up(name), fuse_open_in{.flags = O_RDWR, .open_flags = 0}).error ==
              -EPERM);
        fuse_setattr_in size{};
        size.valid = 1U << 3U;
        CHECK(guest.send(kSetattr, guest.look_up(name), size).error == -EINVAL);
        fuse_create_in create{};
        create.flags = O_RDWR;
        create.mode = S_IFREG | 0666;
        CHECK(guest.send(kCreate, kRoot, create, name).error == -EEXIST);
    }
}
