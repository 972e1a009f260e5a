// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <set>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "tests/unit/vmm/share/fuse_client.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

struct Listed {
    std::vector<std::string> names;
    u64 last_offset = 0;
};

/// All entries, asked for as Linux does, `size` bytes at a time.
Listed list(FuseClient& guest, u64 node, bool has_nodes, u32 size = 4096, u64 offset = 0) {
    const Answer opened = guest.send(kOpendir, node, fuse_open_in{});
    REQUIRE(opened.error == 0);
    Listed listed;
    fuse_read_in in{};
    in.fh = opened.as<fuse_open_out>().fh;
    in.size = size;
    in.offset = offset;
    for (;;) {
        const Answer part = guest.send(has_nodes ? kReaddirplus : kReaddir, node, in);
        REQUIRE(part.error == 0);
        CHECK(part.body.size() <= size);
        if (part.body.empty()) break;
        const std::size_t head = has_nodes ? sizeof(fuse_entry_out) : 0;
        for (std::size_t at = 0; at < part.body.size();) {
            const auto record = part.as<fuse_dirent>(at + head);
            const std::string name = part.text().substr(at + head + sizeof record, record.namelen);
            if (has_nodes) {
                const auto entry = part.as<fuse_entry_out>(at);
                CHECK((entry.nodeid == 0) == (name == "." || name == ".."));
            }
            listed.names.push_back(name);
            in.offset = record.off;
            at += (head + sizeof record + record.namelen + 7) / 8 * 8;
        }
        listed.last_offset = in.offset;
    }
    fuse_release_in release{};
    release.fh = in.fh;
    CHECK(guest.send(kReleasedir, node, release).error == 0);
    return listed;
}

}  // namespace

TEST_CASE("a session begins with versions and features that both sides have", "[share]") {
    const ScratchTree tree;
    FuseClient::How how{};
    how.begins = false;
    FuseClient guest(tree.path(), how);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == -EIO);
    fuse_init_in in{};
    in.major = 8;
    CHECK(guest.send(kInit, 0, in).as<fuse_init_out>().major == 7);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == -EIO);
    in.major = 7;
    in.minor = 30;
    CHECK(guest.send(kInit, 0, in).error == -EPROTO);
    in.minor = 31;
    in.max_readahead = 1234;
    in.flags = 1U << 0U | 1U << 22U;  // asynchronous reads, and a number of pages
    const auto out = guest.send(kInit, 0, in).as<fuse_init_out>();
    CHECK(out.major == 7);
    CHECK(out.flags == in.flags);
    CHECK(out.flags2 == 0);
    CHECK(out.max_readahead == 1234);
    CHECK(out.max_write == 1U << 20U);
    CHECK(out.max_pages == 256);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == 0);
    CHECK(guest.send(kDestroy, 0).error == 0);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == -EIO);
}

TEST_CASE("mounts are announced unless an overlay must see into them", "[share]") {
    constexpr u32 kSubmounts = 1U << 27U;
    const ScratchTree tree;
    for (const bool announces : {true, false}) {
        FuseClient::How how{};
        how.begins = false;
        how.announces_mounts = announces;
        FuseClient guest(tree.path(), how);
        fuse_init_in in{};
        in.major = 7;
        in.minor = 31;
        in.flags = kSubmounts;
        CHECK(guest.send(kInit, 0, in).as<fuse_init_out>().flags == (announces ? kSubmounts : 0));
    }
}

TEST_CASE("unknown numbers and requests are errors", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    for (const u64 node : {u64{0}, u64{2}, u64{1} << 40U, ~u64{0}})
        CHECK(guest.send(kGetattr, node, fuse_getattr_in{}).error == -ESTALE);
    for (const u32 opcode : {0U, 7U, 31U, 39U, 41U, 48U, 53U, 4096U, ~0U})
        CHECK(guest.send(opcode, kRoot, u64{0}).error == -ENOSYS);
    // Each with nothing behind its header.
    for (u32 opcode = 3; opcode <= kStatx; ++opcode) {
        const bool is_whole = opcode == kGetattr || opcode == kStatx || opcode == kStatfs ||
                              opcode == kOpendir || opcode == kInterrupt || opcode == kBatchForget ||
                              opcode == kDestroy || opcode == kSyncfs || opcode == kReadlink;
        INFO(opcode);
        if (!is_whole) CHECK(guest.send(opcode, kRoot).error < 0);
    }
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == 0);
}

TEST_CASE("without room nothing is answered, with too little an error", "[share]") {
    const ScratchTree tree;
    FuseClient guest(tree.path());
    guest.set_room(15);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).body.empty());
    guest.set_room(16 + 100);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == -EIO);
    guest.set_room(16 + 104);
    CHECK(guest.send(kGetattr, kRoot, fuse_getattr_in{}).error == 0);
}

TEST_CASE("a directory's entries all come, once, with nodes and without", "[share]") {
    const ScratchTree tree;
    std::set<std::string> expected{".", ".."};
    for (int i = 0; i < 1000; ++i) {
        const std::string name =
            "file-" + std::string(static_cast<std::size_t>(i % 200), 'x') + std::to_string(i);
        tree.file("dir/" + name);
        expected.insert(name);
    }
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("dir");
    const bool has_nodes = GENERATE(false, true);
    const Listed listed = list(guest, node, has_nodes, GENERATE(512U, 4096U, 65536U));
    CHECK(listed.names.size() == expected.size());
    CHECK(std::set<std::string>(listed.names.begin(), listed.names.end()) == expected);
    CHECK(guest.server().known_count() == (has_nodes ? 1002 : 2));
    CHECK(guest.server().open_count() <= 1);
    // From any place on.
    CHECK(list(guest, node, false, 4096, listed.last_offset).names.empty());
}

TEST_CASE("forgotten nodes are gone, whatever the guest says", "[share]") {
    const ScratchTree tree;
    for (int i = 0; i < 100; ++i) tree.file("a/b/" + std::to_string(i));
    FuseClient guest(tree.path());
    std::vector<u64> nodes;
    for (int i = 0; i < 100; ++i) nodes.push_back(guest.look_up("a/b/" + std::to_string(i)));
    const u64 a = guest.look_up("a");
    const u64 b = guest.look_up("a/b");
    CHECK(guest.server().known_count() == 103);
    // A directory is forgotten once no known node is in it.
    guest.send(kForget, a, fuse_forget_in{.nlookup = ~u64{0}});
    guest.send(kForget, b, fuse_forget_in{.nlookup = ~u64{0}});
    CHECK(guest.server().known_count() == 103);
    Bytes all;
    append_part(all, fuse_batch_forget_in{.count = 1000, .dummy = 0});
    for (const u64 node : nodes) append_part(all, fuse_forget_one{.nodeid = node, .nlookup = 5});
    CHECK(guest.send_bytes(kBatchForget, 0, all).body.empty());
    CHECK(guest.server().known_count() == 1);
    CHECK(guest.server().open_count() == 0);
    // Again, and of unknown nodes.
    guest.send_bytes(kBatchForget, 0, all);
    guest.send(kForget, kRoot, fuse_forget_in{.nlookup = ~u64{0}});
    guest.send(kForget, 12345, fuse_forget_in{.nlookup = 1});
    CHECK(guest.look_up("a/b/7") != 0);
}

TEST_CASE("a new session knows nothing of the one before", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    const u64 handle = guest.open(node);
    guest.server().reset();
    fuse_init_in in{};
    in.major = 7;
    in.minor = 41;
    REQUIRE(guest.send(kInit, 0, in).error == 0);
    CHECK(guest.send(kGetattr, node, fuse_getattr_in{}).error == -ESTALE);
    fuse_read_in read{};
    read.fh = handle;
    CHECK(guest.send(kRead, kRoot, read).error == -EBADF);
    CHECK(guest.look_up("file") != 0);
}

TEST_CASE("more files can be known than may be open", "[share]") {
    const ScratchTree tree;
    constexpr int kFiles = 300;
    for (int i = 0; i < kFiles; ++i) tree.file("dir/" + std::to_string(i) + "/file", std::to_string(i));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    {
        FuseClient guest(tree.path());
        std::vector<u64> nodes;
        for (int i = 0; i < kFiles; ++i) nodes.push_back(guest.look_up("dir/" + std::to_string(i) + "/file"));
        CHECK(guest.server().known_count() == 2 + 2 * kFiles);
        CHECK(guest.server().open_count() <= 32);
        for (int i = 0; i < kFiles; ++i) {
            const u64 node = nodes[static_cast<std::size_t>(i)];
            const u64 handle = guest.open(node);
            const Bytes content = guest.read(node, handle, 0, 10);
            CHECK(content.size() == std::to_string(i).size());
            fuse_release_in release{};
            release.fh = handle;
            CHECK(guest.send(kRelease, node, release).error == 0);
        }
        // Until no descriptor is left, and then once more.
        std::vector<u64> handles;
        i32 error = 0;
        for (int i = 0; i < kFiles && error == 0; ++i) {
            const Answer opened = guest.send(kOpen, nodes[static_cast<std::size_t>(i)], fuse_open_in{});
            error = opened.error;
            if (error == 0) handles.push_back(opened.as<fuse_open_out>().fh);
        }
        CHECK((error == -ENFILE || error == -EMFILE));
        CHECK(handles.size() == 16);
        for (const u64 handle : handles) {
            fuse_release_in release{};
            release.fh = handle;
            CHECK(guest.send(kRelease, kRoot, release).error == 0);
        }
        CHECK(guest.send(kOpen, nodes.back(), fuse_open_in{}).error == 0);
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("without a descriptor left a request fails, and the server does not", "[share]") {
    const ScratchTree tree;
    tree.file("dir/file", "content");
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    FuseClient guest(tree.path());
    const u64 directory = guest.look_up("dir");
    const u64 file = guest.look_up("dir/file");
    std::vector<UniqueFd> taken;
    const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    for (;;) {
        UniqueFd one = UniqueFd::adopt(::open("/dev/null", O_RDONLY));
        if (!one.valid()) break;
        taken.push_back(std::move(one));
    }
    i32 errors[3] = {
        guest.send(kOpen, file, fuse_open_in{}).error, guest.send(kOpendir, directory, fuse_open_in{}).error,
        guest
            .send(kCreate, directory, fuse_create_in{.flags = 0, .mode = 0644, .umask = 0, .open_flags = 0},
                  std::string("new"))
            .error};
    const i32 removed = guest.send(kUnlink, directory, std::string("file")).error;
    taken.clear();
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    for (const i32 error : errors) CHECK((error == -ENFILE || error == -EMFILE));
    CHECK(removed == 0);
    CHECK(guest.send(kOpendir, directory, fuse_open_in{}).error == 0);
}

TEST_CASE("a removed tree of links takes no more descriptors than there may be", "[share]") {
    const ScratchTree tree;
    constexpr int kFiles = 100;
    for (int i = 0; i < kFiles; ++i) tree.file("a/" + std::to_string(i));
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit few{.rlim_cur = 64, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
    {
        FuseClient guest(tree.path());
        const u64 a = guest.look_up("a");
        for (int i = 0; i < kFiles; ++i) {
            REQUIRE(guest.look_up("a/" + std::to_string(i)) != 0);
            REQUIRE(guest.send(kUnlink, a, std::to_string(i)).error == 0);
        }
        CHECK(guest.server().open_count() <= 32);
        CHECK(UniqueFd::adopt(::open("/dev/null", O_RDONLY)).valid());
        CHECK(guest.send(kMkdir, a, fuse_mkdir_in{.mode = 0755, .umask = 0}, std::string("more")).error == 0);
    }
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("an attribute is set in the format of the guest's version", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    FuseClient::How how{};
    how.begins = false;
    FuseClient guest(tree.path(), how);
    fuse_init_in in{};
    in.major = 7;
    in.minor = 31;
    REQUIRE(guest.send(kInit, 0, in).error == 0);
    const u64 node = guest.look_up("file");
    // Eight bytes before 7.33.
    const Answer set = guest.send(kSetxattr, node, std::array<u32, 2>{5, 0}, std::string("user.a"),
                                  std::array<char, 5>{'v', 'a', 'l', 'u', 'e'});
    if (set.error == -EOPNOTSUPP) return;
    CHECK(set.error == 0);
    CHECK(guest.send(kGetxattr, node, fuse_getxattr_in{.size = 10, .padding = 0}, std::string("user.a"))
              .text() == "value");
}

TEST_CASE("open files are closed, also of a node that the guest has forgotten", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    FuseClient guest(tree.path());
    const u64 node = guest.look_up("file");
    fuse_release_in release{};
    release.fh = guest.open(node);
    guest.send(kForget, node, fuse_forget_in{.nlookup = 1});
    CHECK(guest.send(kRelease, node, release).error == 0);
}

TEST_CASE("a directory that is missing or is not a directory is refused", "[share]") {
    const ScratchTree tree;
    tree.file("file");
    const auto refusal = [&](const std::string& directory) {
        ShareOptions options;
        options.directory = directory;
        const auto opened = FuseServer::open(options, {});
        return opened ? "" : opened.error().message();
    };
    CHECK(refusal(tree.path("none")) == "open " + tree.path("none") + ": No such file or directory");
    CHECK(refusal(tree.path("file")) == "open " + tree.path("file") + ": Not a directory");
}

TEST_CASE("a statx request gives the birth time", "[share]") {
    const ScratchTree tree;
    tree.file("file", "content");
    FuseClient guest(tree.path());
    const Answer answer = guest.send(kStatx, guest.look_up("file"), std::array<u64, 3>{});
    REQUIRE(answer.error == 0);
    const auto out = answer.as<fuse::StatxOut>();
    CHECK(out.stat.size == 7);
    CHECK(out.stat.mode == (u32{S_IFREG} | 0644));
    if ((out.stat.mask & STATX_BTIME) != 0) CHECK(out.stat.btime.tv_sec > 0);
}
