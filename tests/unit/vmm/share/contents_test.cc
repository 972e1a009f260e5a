// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <fstream>
#include <sstream>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "tests/unit/vmm/share/fuse_client.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

std::string content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

Bytes bytes_of(const std::string& text) {
    Bytes bytes;
    append(bytes, text.data(), text.size());
    return bytes;
}

Answer write(FuseClient& guest, u64 node, u64 handle, u64 offset, const std::string& text, u32 flags = 0) {
    fuse_write_in in{};
    in.fh = handle;
    in.offset = offset;
    in.size = static_cast<u32>(text.size());
    in.write_flags = flags;
    return guest.send(kWrite, node, in, bytes_of(text));
}

u32 mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777U;
}

}  // namespace

TEST_CASE("written bytes are in the file, and are read back, however the request is cut", "[share]") {
    const ScratchTree tree;
    tree.file("file", "0123456789");
    FuseClient guest(tree.path());
    guest.set_piece(GENERATE(1U, 7U, 40U, 4096U));
    const u64 node = guest.look_up("file");
    const u64 handle = guest.open(node, O_RDWR);
    const Answer written = write(guest, node, handle, 4, "abcdefghij");
    REQUIRE(written.error == 0);
    CHECK(written.as<fuse_write_out>().size == 10);
    CHECK(content_of(tree.path("file")) == "0123abcdefghij");
    CHECK(guest.read(node, handle, 2, 4) == bytes_of("23ab"));
    CHECK(guest.read(node, handle, 12, 100) == bytes_of("ij"));
    CHECK(guest.read(node, handle, 100, 100).empty());
    fuse_release_in release{};
    release.fh = handle;
    CHECK(guest.send(kRelease, node, release).error == 0);
    CHECK(guest.send(kRelease, node, release).error == -EBADF);
}

TEST_CASE("appending writes go to the end, and pages of a mapping to their place", "[share]") {
    const ScratchTree tree;
    tree.file("file", "0123456789");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    fuse_write_in in{};
    in.fh = guest.open(node, O_RDWR | O_APPEND);
    in.size = 3;
    in.flags = O_RDWR | O_APPEND;
    CHECK(guest.send(kWrite, node, in, bytes_of("end")).error == 0);
    CHECK(content_of(tree.path("file")) == "0123456789end");
    in.write_flags = 1U << 0U;  // from the page cache, through any handle
    CHECK(guest.send(kWrite, node, in, bytes_of("abc")).error == 0);
    CHECK(content_of(tree.path("file")) == "abc3456789end");
}

TEST_CASE("an open file's attributes are used when its name belongs to another file", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content");
    constexpr int kOthers = 40;
    for (int i = 0; i < kOthers; ++i) tree.file("other/" + std::to_string(i) + "/file");
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    FuseClient guest(tree.path());
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    const u64 node = guest.look_up("file");
    fuse_setattr_in in{};
    in.fh = guest.open(node, O_RDWR);
    // Their descriptors take the place of the node's own.
    for (int i = 0; i < kOthers; ++i) REQUIRE(guest.look_up("other/" + std::to_string(i) + "/file") != 0);
    REQUIRE(::rename(tree.path("file").c_str(), tree.path("away").c_str()) == 0);
    tree.file("file", "another");
    CHECK(guest.send(kGetattr, node, fuse_getattr_in{}).error == -ESTALE);
    const Answer answer =
        guest.send(kGetattr, node, fuse_getattr_in{.getattr_flags = 1, .dummy = 0, .fh = in.fh});
    REQUIRE(answer.error == 0);
    CHECK(answer.as<fuse_attr_out>().attr.size == 7);
    in.valid = 1U << 3U | 1U << 6U;
    in.size = 4;
    CHECK(guest.send(kSetattr, node, in).error == 0);
    CHECK(content_of(tree.path("away")) == "cont");
    CHECK(content_of(tree.path("file")) == "another");
}

TEST_CASE("a released handle is invalid, also when its place is in use again", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    const u64 first = guest.open(node);
    fuse_release_in release{};
    release.fh = first;
    REQUIRE(guest.send(kRelease, node, release).error == 0);
    const u64 second = guest.open(node);
    CHECK(second != first);
    fuse_read_in in{};
    in.fh = first;
    in.size = 10;
    CHECK(guest.send(kRead, node, in).error == -EBADF);
    in.fh = ~u64{0};
    CHECK(guest.send(kRead, node, in).error == -EBADF);
    // A file's handle is not a directory's.
    in.fh = second;
    CHECK(guest.send(kReaddir, node, in).error == -EBADF);
}

TEST_CASE("a file that is opened again may keep its cache unless it has changed", "[share]") {
    const ScratchTree tree;
    tree.file("file", "one");
    const std::string path = tree.path("file");
    const timespec old[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 0},
                             {.tv_sec = 1'000'000'000, .tv_nsec = 0}};
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    const auto keeps = [&] {
        const Answer answer = guest.send(kOpen, node, fuse_open_in{});
        REQUIRE(answer.error == 0);
        return (answer.as<fuse_open_out>().open_flags & (1U << 1U)) != 0;
    };
    ::usleep(50'000);  // so that its times have settled
    CHECK_FALSE(keeps());
    CHECK(keeps());
    tree.file("file", "two");
    REQUIRE(::utimensat(AT_FDCWD, path.c_str(), old, 0) == 0);
    CHECK_FALSE(keeps());
    // Another change may follow with the same time.
    CHECK_FALSE(keeps());
}

TEST_CASE("a read-only share changes nothing", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content");
    FuseClient::How how{};
    how.is_read_only = true;
    FuseClient guest(tree.path(), how);
    const u64 node = guest.look_up("file");
    for (const u32 flags : {u32{O_WRONLY}, u32{O_RDWR}, u32{O_TRUNC}})
        CHECK(guest.send(kOpen, node, fuse_open_in{.flags = flags, .open_flags = 0}).error == -EROFS);
    const u64 handle = guest.open(node);
    CHECK(write(guest, node, handle, 0, "x").error == -EROFS);
    // An open that clears set-user-ID.
    CHECK(guest.send(kOpen, node, fuse_open_in{.flags = 0, .open_flags = 1}).error == -EROFS);
    CHECK(guest.send(kUnlink, kRoot, std::string("file")).error == -EROFS);
    CHECK(guest.send(kSetattr, node, fuse_setattr_in{}).error == -EROFS);
    CHECK(guest.send(kMkdir, kRoot, fuse_mkdir_in{}, std::string("dir")).error == -EROFS);
    CHECK(guest.send(kTmpfile, kRoot, fuse_create_in{}, std::string("")).error == -EROFS);
    CHECK(guest.read(node, handle, 0, 100) == bytes_of("content"));
    CHECK(content_of(tree.path("file")) == "content");
}

TEST_CASE("a created file is new, or the existing one", "[share]") {
    const ScratchTree tree;
    tree.file("old", "content");
    tree.symlink("/etc/passwd", "link");
    FuseClient guest(tree.path());
    fuse_create_in in{};
    in.flags = O_RDWR;
    in.mode = S_IFREG | 0644;
    in.umask = 077;
    const Answer made = guest.send(kCreate, kRoot, in, std::string("new"));
    REQUIRE(made.error == 0);
    CHECK(mode_of(tree.path("new")) == 0600);
    const auto handle = made.as<fuse_open_out>(sizeof(fuse_entry_out)).fh;
    CHECK(write(guest, made.as<fuse_entry_out>().nodeid, handle, 0, "x").error == 0);
    const Answer old = guest.send(kCreate, kRoot, in, std::string("old"));
    REQUIRE(old.error == 0);
    CHECK(content_of(tree.path("old")) == "content");
    in.flags |= O_TRUNC;
    REQUIRE(guest.send(kCreate, kRoot, in, std::string("old")).error == 0);
    CHECK(content_of(tree.path("old")).empty());
    // Linux then looks it up again, finds the link, and follows it.
    CHECK(guest.send(kCreate, kRoot, in, std::string("link")).error == -ESTALE);
    in.flags |= O_EXCL;
    CHECK(guest.send(kCreate, kRoot, in, std::string("link")).error == -EEXIST);
    CHECK(guest.send(kCreate, kRoot, in, std::string("old")).error == -EEXIST);
    CHECK(guest.send(kCreate, kRoot, in, std::string("../x")).error == -EINVAL);
}

TEST_CASE("a file without a name can be written, and be given one", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    fuse_create_in in{};
    in.flags = O_RDWR;
    in.mode = S_IFREG | 0640;
    const Answer made = guest.send(kTmpfile, kRoot, in, std::string(""));
    if (made.error == -EOPNOTSUPP) return;  // the host's file system has none
    REQUIRE(made.error == 0);
    const u64 node = made.as<fuse_entry_out>().nodeid;
    CHECK(write(guest, node, made.as<fuse_open_out>(sizeof(fuse_entry_out)).fh, 0, "hidden").error == 0);
    REQUIRE(guest.send(kLink, kRoot, fuse_link_in{.oldnodeid = node}, std::string("named")).error == 0);
    CHECK(content_of(tree.path("named")) == "hidden");
}

TEST_CASE("attributes are changed as asked", "[share]") {
    const ScratchTree tree;
    tree.file("file", "0123456789", 0644);
    tree.symlink("file", "link");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    fuse_setattr_in in{};
    in.valid = 1U << 0U | 1U << 3U | 1U << 5U;  // mode, size, mtime
    in.mode = S_IFREG | 0751;
    in.size = 4;
    in.mtime = 1'234'567'890;
    in.mtimensec = 987'654'321;
    const Answer changed = guest.send(kSetattr, node, in);
    REQUIRE(changed.error == 0);
    const auto attr = changed.as<fuse_attr_out>().attr;
    CHECK(attr.mode == (u32{S_IFREG} | 0751));
    CHECK(attr.size == 4);
    CHECK(attr.mtime == 1'234'567'890);
    CHECK(attr.mtimensec == 987'654'321);
    CHECK(content_of(tree.path("file")) == "0123");
    // A link's own times, and no mode.
    const u64 link = guest.look_up("link");
    in.valid = 1U << 5U;
    CHECK(guest.send(kSetattr, link, in).as<fuse_attr_out>().attr.mtime == 1'234'567'890);
    in.valid = 1U << 0U;
    CHECK(guest.send(kSetattr, link, in).error == -EOPNOTSUPP);
    in.valid = 1U << 3U;
    in.size = ~u64{0};
    CHECK(guest.send(kSetattr, node, in).error == -EFBIG);
    in.valid = 1U << 1U | 1U << 2U;  // owner
    in.uid = 321;
    in.gid = 123;
    const Answer owned = guest.send(kSetattr, node, in);
    if (::geteuid() == 0) {
        CHECK(owned.as<fuse_attr_out>().attr.uid == 321);
        CHECK(owned.as<fuse_attr_out>().attr.gid == 123);
    } else {
        CHECK(owned.error == -EPERM);
    }
}

TEST_CASE("set-user-ID does not survive a write without the right to keep it", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content", 06755);
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    SECTION("a write") {
        const u64 handle = guest.open(node, O_WRONLY);
        CHECK(write(guest, node, handle, 0, "c", 1U << 2U).error == 0);
    }
    SECTION("another size") {
        fuse_setattr_in in{};
        in.valid = 1U << 3U | 1U << 11U;
        CHECK(guest.send(kSetattr, node, in).error == 0);
    }
    SECTION("opened and cut") {
        CHECK(guest.send(kOpen, node, fuse_open_in{.flags = O_WRONLY | O_TRUNC, .open_flags = 1}).error == 0);
    }
    CHECK(mode_of(tree.path("file")) == 0755);
}

TEST_CASE("files that are shown with another owner keep theirs on the host", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    FuseClient::How how{};
    how.owner = ShareOwner{.uid = 7, .gid = 8};
    FuseClient guest(tree.path(), how);
    guest.set_user(1000, 1000);
    const u64 node = guest.look_up("file");
    const auto attr = guest.send(kGetattr, node, fuse_getattr_in{}).as<fuse_attr_out>().attr;
    CHECK(attr.uid == 7);
    CHECK(attr.gid == 8);
    REQUIRE(guest.send(kMkdir, kRoot, fuse_mkdir_in{.mode = 0755, .umask = 0}, std::string("dir")).error ==
            0);
    struct stat status {};
    REQUIRE(::stat(tree.path("dir").c_str(), &status) == 0);
    CHECK(status.st_uid == ::geteuid());
    fuse_setattr_in in{};
    in.valid = 1U << 1U;
    in.uid = 7;
    CHECK(guest.send(kSetattr, node, in).error == 0);
    in.uid = 9;
    CHECK(guest.send(kSetattr, node, in).error == -EPERM);
}

TEST_CASE("extended attributes are the file's own", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    tree.file("empty");
    if (::setxattr(tree.path("empty").c_str(), "user.probe", "1", 1, 0) < 0) return;  // none here
    REQUIRE(::removexattr(tree.path("empty").c_str(), "user.probe") == 0);
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    fuse_setxattr_in in{};
    in.size = 5;
    REQUIRE(guest.send(kSetxattr, node, in, std::string("user.name"), bytes_of("value")).error == 0);
    std::array<char, 16> value{};
    CHECK(::getxattr(tree.path("file").c_str(), "user.name", value.data(), value.size()) == 5);
    const auto get = [&](u32 size, const std::string& name) {
        return guest.send(kGetxattr, node, fuse_getxattr_in{.size = size, .padding = 0}, name);
    };
    CHECK(get(0, "user.name").as<fuse_getxattr_out>().size == 5);
    CHECK(get(100, "user.name").text() == "value");
    CHECK(get(3, "user.name").error == -ERANGE);
    CHECK(get(100, "user.none").error == -ENODATA);
    CHECK(guest.send(kListxattr, node, fuse_getxattr_in{.size = 100, .padding = 0}).text() ==
          std::string("user.name\0", 10));
    REQUIRE(guest.send(kRemovexattr, node, std::string("user.name")).error == 0);
    CHECK(get(100, "user.name").error == -ENODATA);
    // A file system without lists: Linux takes no other answer for that.
    FuseClient kernel("/proc/sys");
    CHECK(kernel
              .send(kGetxattr, kRoot, fuse_getxattr_in{.size = 100, .padding = 0},
                    std::string("system.posix_acl_access"))
              .error == -ENODATA);
    CHECK(kernel.send(kGetxattr, kRoot, fuse_getxattr_in{.size = 100, .padding = 0}, std::string("user.x"))
              .error == -EOPNOTSUPP);
    // Of more bytes than the request has.
    in.size = 6;
    CHECK(guest.send(kSetxattr, node, in, std::string("user.name"), bytes_of("value")).error == -EINVAL);
}

TEST_CASE("holes are found, made, and copied over", "[share]") {
    const ScratchTree tree;
    tree.sparse("holes", 1U << 20U);
    tree.file("from", "copied");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("holes");
    const u64 handle = guest.open(node, O_RDWR);
    REQUIRE(write(guest, node, handle, 65536, "data").error == 0);
    fuse_lseek_in seek{};
    seek.fh = handle;
    seek.whence = SEEK_DATA;
    CHECK(guest.send(kLseek, node, seek).as<fuse_lseek_out>().offset == 65536);
    seek.whence = SEEK_CUR;
    CHECK(guest.send(kLseek, node, seek).error == -EINVAL);
    fuse_fallocate_in allocate{};
    allocate.fh = handle;
    allocate.offset = 65536;
    allocate.length = 4096;
    allocate.mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    CHECK(guest.send(kFallocate, node, allocate).error == 0);
    seek.whence = SEEK_DATA;
    CHECK(guest.send(kLseek, node, seek).error == -ENXIO);
    const u64 from = guest.look_up("from");
    fuse_copy_file_range_in copy{};
    copy.fh_in = guest.open(from);
    copy.fh_out = handle;
    copy.nodeid_out = node;
    copy.off_out = 10;
    copy.len = 6;
    CHECK(guest.send(kCopyFileRange, from, copy).as<fuse_write_out>().size == 6);
    CHECK(guest.read(node, handle, 10, 6) == bytes_of("copied"));
    CHECK(guest.send(kFsync, node, fuse_fsync_in{.fh = handle, .fsync_flags = 1, .padding = 0}).error == 0);
    CHECK(guest.send(kSyncfs, kRoot, u64{0}).error == 0);
    CHECK(guest.send(kStatfs, kRoot).as<fuse_statfs_out>().st.blocks != 0);
}
