// SPDX-License-Identifier: Apache-2.0
// A directory's tree in the archive.
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// A tree with a program that can be run.
class Root : public ScratchTree {
  public:
    Root() { file("bin/true", elf_program(), 0755); }

    [[nodiscard]] InitramfsRequest request() const { return request_for("/bin/true", path()); }
    [[nodiscard]] std::string archive() const {
        const Result<UniqueFd> packed = pack_initramfs(request());
        INFO((packed ? "" : packed.error().message()));
        REQUIRE(packed.has_value());
        return read_all(*packed);
    }
    [[nodiscard]] std::vector<NewcEntry> entries() const { return read_newc(archive()); }
};

}  // namespace

TEST_CASE("a root's files come with mode, time and content") {
    const Root root;
    root.file("etc/motd", "hello\n", 0640);
    root.directory("var/empty", 01711);
    const timespec times[2] = {{0, UTIME_OMIT}, {1'234'567'890, 999}};
    REQUIRE(::utimensat(AT_FDCWD, root.path("etc/motd").c_str(), times, 0) == 0);
    const auto entries = root.entries();
    CHECK(entry(entries, "etc/motd").content == "hello\n");
    CHECK(entry(entries, "etc/motd").mode == (0100000 | 0640));
    CHECK(entry(entries, "etc/motd").mtime == 1'234'567'890);
    CHECK(entry(entries, "var/empty").mode == (0040000 | 01711));
    CHECK(entry(entries, "bin/true").content == elf_program());
}

TEST_CASE("times before 1970 and after 2106 become the nearest that fit") {
    const Root root;
    root.file("old");
    root.file("new");
    const timespec old_times[2] = {{0, UTIME_OMIT}, {-100, 0}};
    const timespec new_times[2] = {{0, UTIME_OMIT}, {5'000'000'000, 0}};
    REQUIRE(::utimensat(AT_FDCWD, root.path("old").c_str(), old_times, 0) == 0);
    REQUIRE(::utimensat(AT_FDCWD, root.path("new").c_str(), new_times, 0) == 0);
    struct stat status {};
    REQUIRE(::stat(root.path("new").c_str(), &status) == 0);
    const auto entries = root.entries();
    CHECK(entry(entries, "old").mtime == 0);
    // Not every file system holds such a time.
    CHECK(entry(entries, "new").mtime == static_cast<u32>(std::min<i64>(status.st_mtim.tv_sec, 0xffffffff)));
}

TEST_CASE("setuid and setgid survive") {
    const Root root;
    root.file("bin/su", "x", 06755);
    CHECK(entry(root.entries(), "bin/su").mode == (0100000 | 06755));
}

TEST_CASE("directories come before their content, and names are sorted") {
    const Root root;
    for (const char* name : {"z", "a", "m/z", "m/a", "m-", "M"}) root.file(name);
    const auto entries = root.entries();
    std::vector<std::string> names;
    for (const NewcEntry& one : entries)
        if (one.name.substr(0, 1) != "." && one.name.find_first_of("zaM") != std::string::npos &&
            one.name.size() <= 3)
            names.push_back(one.name);
    CHECK(names == std::vector<std::string>{"M", "a", "m/a", "m/z", "z"});
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const std::size_t slash = entries[i].name.rfind('/');
        if (slash == std::string::npos) continue;
        const std::string parent = entries[i].name.substr(0, slash);
        const auto earlier = std::find_if(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(i),
                                          [&](const NewcEntry& one) { return one.name == parent; });
        CHECK(earlier != entries.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

TEST_CASE("equal roots give equal archives") {
    const timespec times[2] = {{1, 0}, {1, 0}};
    const auto packed = [&](bool is_reversed) {
        const Root root;
        for (int i = 0; i < 200; ++i)
            root.file("f" + std::to_string(is_reversed ? 199 - i : i),
                      std::to_string(is_reversed ? 199 - i : i));
        root.hard_link("f7", "link");
        for (const auto& one : std::filesystem::recursive_directory_iterator(root.path()))
            REQUIRE(::utimensat(AT_FDCWD, one.path().c_str(), times, 0) == 0);
        return root.archive();
    };
    CHECK((packed(false) == packed(true)));
}

TEST_CASE("several names of a file are hard links, and the first has the content") {
    const Root root;
    root.file("b", "shared");
    root.directory("sub");
    root.hard_link("b", "a");
    root.hard_link("b", "sub/c");
    root.file("single", "own");
    const auto entries = root.entries();
    CHECK(entry(entries, "a").content == "shared");
    CHECK(entry(entries, "b").content.empty());
    CHECK(entry(entries, "sub/c").content.empty());
    CHECK(entry(entries, "a").inode == entry(entries, "b").inode);
    CHECK(entry(entries, "a").inode == entry(entries, "sub/c").inode);
    CHECK(entry(entries, "a").links >= 2);
    for (const NewcEntry& one : entries)
        if (one.name != "a" && one.name != "b" && one.name != "sub/c")
            CHECK(one.inode != entry(entries, "a").inode);
}

TEST_CASE("symbolic links are packed as they are, also where they lead nowhere, out or in circles") {
    const Root root;
    root.symlink("/etc/passwd", "absolute");
    root.symlink("../../../../etc/passwd", "out");
    root.symlink("nowhere", "dangling");
    root.symlink("circle", "circle");
    root.symlink("/bin", "usr/bin");
    root.symlink(std::string(4000, 'x'), "long");
    const auto entries = root.entries();
    CHECK(entry(entries, "absolute").content == "/etc/passwd");
    CHECK((entry(entries, "absolute").mode & 0170000) == 0120000);
    CHECK(entry(entries, "out").content == "../../../../etc/passwd");
    CHECK(entry(entries, "dangling").content == "nowhere");
    CHECK(entry(entries, "circle").content == "circle");
    CHECK(entry(entries, "usr/bin").content == "/bin");
    CHECK(entry(entries, "long").content == std::string(4000, 'x'));
}

TEST_CASE("sockets are left out and pipes are packed") {
    const Root root;
    REQUIRE(::mkfifo(root.path("pipe").c_str(), 0600) == 0);
    const UniqueFd socket = UniqueFd::adopt(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    root.path("socket").copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const auto entries = root.entries();
    CHECK_FALSE(has_entry(entries, "socket"));
    CHECK(entry(entries, "pipe").mode == (0010000 | 0600));
}

TEST_CASE("a device node keeps its numbers") {
    const Root root;
    if (::mknod(root.path("null").c_str(), S_IFCHR | 0666, makedev(1, 3)) != 0) {
        WARN("this user may not make device nodes");
        return;
    }
    REQUIRE(::chmod(root.path("null").c_str(), 0666) == 0);
    const auto entries = root.entries();
    CHECK(entry(entries, "null").mode == (0020000 | 0666));
    CHECK(entry(entries, "null").rdev_major == 1);
    CHECK(entry(entries, "null").rdev_minor == 3);
    CHECK(entry(entries, "null").content.empty());
}

TEST_CASE("any byte of a file's name survives") {
    const Root root;
    const std::string names[] = {"new\nline", "tab\t", "\xff\xfe", " ", "-rf", "a\\b", "TRAILER!!!x"};
    for (const std::string& name : names) root.file(name, name);
    const auto entries = root.entries();
    for (const std::string& name : names) CHECK(entry(entries, name).content == name);
}

TEST_CASE("a file with the trailer's name is packed, as are later files") {
    const Root root;
    root.file("TRAILER!!!", "not the end");
    root.file("Z", "after it");
    const auto entries = root.entries();
    CHECK(entry(entries, "./TRAILER!!!").content == "not the end");
    CHECK(entry(entries, "Z").content == "after it");
}

TEST_CASE("missing directories of a root are made, and existing ones kept") {
    const Root bare;
    const auto made = bare.entries();
    for (const char* name : {"proc", "sys", "dev", "tmp", "run"})
        CHECK((entry(made, name).mode & 0170000) == 0040000);
    CHECK(entry(made, "tmp").mode == (0040000 | 01777));
    CHECK(entry(made, "dev/console").mode == (0020000 | 0600));
    CHECK(entry(made, "dev/console").rdev_major == 5);
    CHECK(entry(made, "dev/console").rdev_minor == 1);
    CHECK(entry(made, ".").mode == (0040000 | 0755));

    const Root full;
    full.directory("tmp", 0700);
    full.file("tmp/kept", "x");
    full.symlink("var/run", "run");
    full.file("dev/console", "a file");
    const auto kept = full.entries();
    CHECK(entry(kept, "tmp").mode == (0040000 | 0700));
    CHECK(entry(kept, "run").content == "var/run");
    CHECK(entry(kept, "dev/console").content == "a file");
    CHECK(entry(kept, "tmp/kept").content == "x");
}

TEST_CASE("without a root there is only the program, nothing else from the host") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    const auto entries = read_newc(read_all(pack_initramfs(request_for(tree.path("prog"))).value()));
    CHECK(entry(entries, ".mayfly/bin/prog").content == elf_program());
    CHECK(entry(entries, ".mayfly/bin/prog").mode == (0100000 | 0755));
    CHECK(entries.size() == 13);
}

TEST_CASE("a root that is missing or is not a directory is refused") {
    const Root root;
    root.file("file");
    CHECK(refusal(request_for("/bin/true", root.path("file"))) == root.path("file") + ": is not a directory");
    CHECK(refusal(request_for("/bin/true", root.path("none"))) == root.path("none") + ": no such directory");
    root.directory("empty");
    CHECK(refusal(request_for("/bin/true", root.path("empty"))) ==
          root.path("empty") + "/bin/true: no such program");
}

TEST_CASE("a root may be named through a symbolic link and with slashes at its end") {
    const Root root;
    const ScratchTree elsewhere;
    elsewhere.symlink(root.path(), "link");
    CHECK(pack_initramfs(request_for("/bin/true", elsewhere.path("link") + "///")).has_value());
}

TEST_CASE("a root that has our own directory is refused") {
    const Root root;
    root.directory(".mayfly");
    CHECK(refusal(root.request()) == root.path() + "/.mayfly: is a name that the initramfs needs for itself");
}

TEST_CASE("a file that cannot be read is an error that names it") {
    const Root root;
    root.file("etc/shadow", "secret", 0000);
    root.directory("closed", 0000);
    const bool was_root = ::geteuid() == 0;
    if (was_root) REQUIRE(::seteuid(65534) == 0);
    const std::string directory_message = refusal(root.request());
    if (was_root) REQUIRE(::seteuid(0) == 0);
    CHECK(directory_message ==
          "open " + root.path() +
              "/closed: Permission denied (make it readable, take it out of the tree, or "
              "run mayfly as its owner)");
    REQUIRE(::rmdir(root.path("closed").c_str()) == 0);
    if (was_root) REQUIRE(::seteuid(65534) == 0);
    const std::string file_message = refusal(root.request());
    if (was_root) REQUIRE(::seteuid(0) == 0);
    CHECK(file_message ==
          "open " + root.path() +
              "/etc/shadow: Permission denied (make it readable, take it out of the tree, or run "
              "mayfly as its owner)");
}

TEST_CASE("an ordinary user's files belong to root in the guest, and other owners are kept") {
    const Root root;
    if (::geteuid() != 0) {
        CHECK(entry(root.entries(), "bin/true").uid == 0);
        CHECK(entry(root.entries(), "bin/true").gid == 0);
        return;
    }
    root.file("mine");
    root.file("hers");
    REQUIRE(::chown(root.path("mine").c_str(), 65534, 123) == 0);
    REQUIRE(::chown(root.path("hers").c_str(), 1000, 1001) == 0);
    const auto as_root = root.entries();
    CHECK(entry(as_root, "mine").uid == 65534);
    CHECK(entry(as_root, "hers").uid == 1000);
    REQUIRE(::seteuid(65534) == 0);
    const auto as_user = root.entries();
    REQUIRE(::seteuid(0) == 0);
    CHECK(entry(as_user, "mine").uid == 0);
    CHECK(entry(as_user, "mine").gid == 0);
    CHECK(entry(as_user, "hers").uid == 1000);
    CHECK(entry(as_user, "hers").gid == 1001);
}

TEST_CASE("a tree as deep as a path may be long is packed and a deeper one refused, with few descriptors") {
    const Root root;
    UniqueFd at = UniqueFd::adopt(::open(root.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const auto deepen = [&](int levels) {
        for (int i = 0; i < levels; ++i) {
            REQUIRE(::mkdirat(at.get(), "d", 0755) == 0);
            at = UniqueFd::adopt(::openat(at.get(), "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
            REQUIRE(at.valid());
        }
    };
    deepen(2048);  // "d/d/…/d": 4,095 bytes
    const auto entries = root.entries();
    CHECK(std::count_if(entries.begin(), entries.end(), [](const NewcEntry& one) {
              return one.name.substr(0, 1) == "d" && one.name != "dev" && one.name != "dev/console";
          }) == 2048);
    deepen(1);
    CHECK(refusal(root.request()).find("a path of 4097 bytes is too long for Linux") != std::string::npos);
    // remove_all would need as many descriptors as there are levels.
    REQUIRE(std::system(("rm -rf " + root.path("d")).c_str()) == 0);
}

TEST_CASE("ten thousand files in one directory are all packed") {
    const Root root;
    for (int i = 0; i < 10'000; ++i) root.file("many/" + std::to_string(i), std::to_string(i));
    const auto entries = root.entries();
    CHECK(entries.size() > 10'000);
    CHECK(entry(entries, "many/4711").content == "4711");
}

TEST_CASE("a root larger than the guest has room for is refused early, with its size") {
    const Root root;
    for (int i = 0; i < 30; ++i) root.sparse("huge" + std::to_string(i), GiB(1));
    InitramfsRequest request = root.request();
    request.bytes_max = MiB(200);
    // The size is of the whole, though the first file was already too much.
    CHECK(refusal(request) ==
          "the initramfs takes 30721 MiB, the guest's memory has room for 200 MiB "
          "(give the guest more with --memory, or a smaller --root)");
    // Hard links count once.
    const Root linked;
    linked.sparse("f0", MiB(100));
    for (int i = 1; i < 5; ++i) linked.hard_link("f0", "f" + std::to_string(i));
    InitramfsRequest fits = linked.request();
    fits.bytes_max = MiB(101);
    CHECK(pack_initramfs(fits).has_value());
}

TEST_CASE("a file beyond newc's limit is refused by name") {
    const Root root;
    root.sparse("disk.img", GiB(4));
    InitramfsRequest request = root.request();
    request.bytes_max = GiB(100);
    CHECK(refusal(request) ==
          root.path() +
              "/disk.img: a file of 4294967296 bytes is too large for an initramfs, where one "
              "may have 4294967295");
}

TEST_CASE("cpio extracts what was packed") {
    if (std::system("command -v cpio > /dev/null") != 0) {
        WARN("cpio is not installed");
        return;
    }
    const Root root;
    root.file("etc/motd", "hello\n");
    root.hard_link("etc/motd", "etc/motd2");
    root.symlink("motd", "etc/link");
    root.file("big", std::string(MiB(1) + 1, 'b'), 0600);
    const ScratchTree out;
    out.file("archive", root.archive());
    out.directory("tree");
    // The console is a node that only root may make.
    REQUIRE(
        std::system(("cd " + out.path("tree") + " && cpio -i --quiet --nonmatching dev/console < ../archive")
                        .c_str()) == 0);
    REQUIRE(std::system(("cd " + out.path("tree") + " && rm -rf .mayfly proc sys tmp run dev").c_str()) == 0);
    CHECK(std::system(("diff -r --no-dereference " + root.path() + " " + out.path("tree")).c_str()) == 0);
    struct stat status {};
    REQUIRE(::stat(out.path("tree/etc/motd").c_str(), &status) == 0);
    CHECK(status.st_nlink == 2);
}
