// SPDX-License-Identifier: Apache-2.0
// Files of a guest, in a directory of the host that somebody else may have prepared.
#include "vmm/machine/copy_out/file_receiver.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "tests/unit/vmm/machine/copy_out/records.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return file ? text.str() : "cannot be read";
}

/// One thing that is copied out, to `host`.
class Copying {
  public:
    explicit Copying(const std::string& host, const std::string& guest = "/guest/out") {
        Result<std::unique_ptr<FileReceiver>> opened =
            FileReceiver::open({{.guest = guest, .host = host}}, [] { return false; });
        INFO((opened ? "" : opened.error().message()));
        REQUIRE(opened.has_value());
        receiver_ = std::move(*opened);
        reader_ = std::make_unique<RecordReader>(1, *receiver_);
    }

    /// Nothing where it went well.
    std::string send(std::initializer_list<Record> records) {
        const Result<void> fed = reader_->feed(as_bytes(bytes_of(records)));
        return fed ? "" : fed.error().message();
    }
    [[nodiscard]] bool has_failed() const { return receiver_->has_failed(); }

  private:
    std::unique_ptr<FileReceiver> receiver_;
    std::unique_ptr<RecordReader> reader_;
};

const Record kTop{.kind = kDirectory, .mode = 040755};

std::string send_file(Copying& copying, const std::string& path, const std::string& text, u32 mode = 0644) {
    return copying.send({{.kind = kFile, .path = path, .mode = mode},
                         {.kind = kData, .data = text},
                         {.kind = kFileEnd, .value = text.size()}});
}

}  // namespace

TEST_CASE("a tree is made with its permissions, times and links") {
    const ScratchTree tree;
    ::umask(022);
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop, {.kind = kDirectory, .path = "sub", .mode = 040555}}).empty());
    REQUIRE(send_file(copying, "sub/tool", "#!/bin/sh\n", 0106755).empty());
    REQUIRE(send_file(copying, "secret", "s", 0100600).empty());
    REQUIRE(copying.send({{.kind = kLink, .path = "sub/link", .data = "../secret"}, {.kind = kEnd}}).empty());
    struct stat status {};
    REQUIRE(::lstat(tree.path("out/sub/tool").c_str(), &status) == 0);
    CHECK(status.st_mode == 0100755);  // not set-user-ID
    CHECK(status.st_mtim.tv_sec == 1'000'000'000);
    CHECK(content(tree.path("out/sub/link")) == "s");
    REQUIRE(::lstat(tree.path("out/secret").c_str(), &status) == 0);
    CHECK(status.st_mode == 0100600);
    REQUIRE(::lstat(tree.path("out/sub").c_str(), &status) == 0);
    CHECK(status.st_mode == 040755);  // its owner can take it away again
    CHECK_FALSE(copying.has_failed());
}

TEST_CASE("names: as it is called, inside with a slash, into what is there") {
    const ScratchTree tree;
    tree.directory("there");
    tree.file("there/kept", "kept");
    tree.file("there/old", "old and longer");
    Copying inside(tree.path("there") + "/", "/guest/report.xml");
    REQUIRE(send_file(inside, "", "<r/>").empty());
    CHECK(content(tree.path("there/report.xml")) == "<r/>");
    Copying onto(tree.path("there"));
    REQUIRE(onto.send({kTop}).empty());
    REQUIRE(send_file(onto, "old", "new").empty());
    CHECK(content(tree.path("there/old")) == "new");
    CHECK(content(tree.path("there/kept")) == "kept");
    Copying file_onto(tree.path("there"));
    CHECK(send_file(file_onto, "", "x").find("is a directory, and what came is a file") != std::string::npos);
    Copying directory_onto(tree.path("there/kept"));
    CHECK_FALSE(directory_onto.send({kTop}).empty());
    CHECK(content(tree.path("there/kept")) == "kept");
    CHECK_FALSE(FileReceiver::open({{.guest = "/x", .host = tree.path("nowhere/x")}}, [] { return false; }));
    CHECK_FALSE(FileReceiver::open({{.guest = "/", .host = tree.path("there") + "/"}}, [] { return false; }));
}

TEST_CASE("what lies in the way is replaced, not followed") {
    const ScratchTree tree;
    tree.file("mine", "mine");
    tree.directory("outside");
    tree.directory("out");
    tree.symlink("../mine", "out/link");
    tree.symlink("../outside", "out/dir");
    tree.hard_link("mine", "out/hard");
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop}).empty());
    REQUIRE(send_file(copying, "link", "theirs").empty());
    REQUIRE(send_file(copying, "hard", "theirs").empty());
    CHECK(content(tree.path("mine")) == "mine");
    CHECK(content(tree.path("out/link")) == "theirs");
    // Without a record for the directory, the user's own link would be followed.
    CHECK_FALSE(send_file(copying, "dir/x", "theirs").empty());
    CHECK(std::filesystem::is_empty(tree.path("outside")));
    Copying again(tree.path("out"));
    REQUIRE(again.send({kTop, {.kind = kDirectory, .path = "dir", .mode = 0755}}).empty());
    REQUIRE(send_file(again, "dir/x", "theirs").empty());
    CHECK(std::filesystem::is_empty(tree.path("outside")));
    CHECK(content(tree.path("out/dir/x")) == "theirs");
}

TEST_CASE("a guest's links lead nowhere else, and no file is written through them") {
    const ScratchTree tree;
    tree.file("mine", "mine");
    Copying copying(tree.path("out"));
    REQUIRE(copying
                .send({kTop,
                       {.kind = kLink, .path = "up", .data = "../mine"},
                       {.kind = kLink, .path = "absolute", .data = tree.path("mine")},
                       {.kind = kDirectory, .path = "d", .mode = 0755},
                       {.kind = kLink, .path = "d/here", .data = "."},
                       {.kind = kLink, .path = "trick", .data = "d/here/../.."},
                       {.kind = kLink, .path = "d/good", .data = ".././d/here/x"}})
                .empty());
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/up")));
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/absolute")));
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/trick")));
    CHECK(std::filesystem::is_symlink(tree.path("out/d/good")));
    CHECK_FALSE(copying.has_failed());
    // A directory that has become a link meanwhile.
    REQUIRE(copying.send({{.kind = kLink, .path = "e", .data = "d"}}).empty());
    CHECK_FALSE(send_file(copying, "e/x", "theirs").empty());
    CHECK(content(tree.path("mine")) == "mine");
}

TEST_CASE("links that stay inside") {
    CHECK(stays_inside("l", "a"));
    CHECK(stays_inside("d/l", "../a/b"));
    CHECK(stays_inside("d/e/l", "./../.././a"));
    CHECK(stays_inside("l", "..."));
    CHECK_FALSE(stays_inside("l", ".."));
    CHECK_FALSE(stays_inside("l", "/a"));
    CHECK_FALSE(stays_inside("d/l", "../../a"));
    CHECK_FALSE(stays_inside("d/e/l", "a/../../b"));  // what `a` is may lead up already
    CHECK_FALSE(stays_inside("d/l", "..//../a"));
}

TEST_CASE("holes stay holes, and a pipe gets them as zeros") {
    const ScratchTree tree;
    Copying copying(tree.path("disk"));
    const u64 large = u64{1} << 33;
    REQUIRE(copying
                .send({{.kind = kFile},
                       {.kind = kData, .data = "begin"},
                       {.kind = kData, .data = "late", .value = large},
                       {.kind = kFileEnd, .value = large + 4096}})
                .empty());
    struct stat status {};
    REQUIRE(::stat(tree.path("disk").c_str(), &status) == 0);
    CHECK(static_cast<u64>(status.st_size) == large + 4096);
    CHECK(status.st_blocks * 512 < 1 << 20);
    REQUIRE(::mkfifo(tree.path("pipe").c_str(), 0600) == 0);
    Copying nobody(tree.path("pipe"));
    CHECK(nobody.send({{.kind = kFile}}).find("open") != std::string::npos);  // and no wait for a reader
    std::string read;
    std::thread reader([&] { read = content(tree.path("pipe")); });
    std::string problem = "not sent";
    for (int tries = 0; tries < 5000 && !problem.empty(); ++tries) {
        Copying piped(tree.path("pipe"));
        problem = piped.send({{.kind = kFile},
                              {.kind = kData, .data = "a"},
                              {.kind = kData, .data = "b", .value = 9000},
                              {.kind = kFileEnd, .value = 9002}});
        if (!problem.empty()) ::usleep(1000);
    }
    reader.join();
    CHECK(read == "a" + std::string(8999, '\0') + "b" + std::string(1, '\0'));
}

TEST_CASE("a descriptor of ours takes a file behind what it has") {
    const ScratchTree tree;
    tree.file("log", "before ");
    const int log = ::open(tree.path("log").c_str(), O_WRONLY | O_APPEND);
    const std::string name = "/dev/fd/" + std::to_string(log);
    Copying copying(name);
    Copying another(name);
    REQUIRE(send_file(copying, "", "one ").empty());
    REQUIRE(::write(log, "between ", 8) == 8);
    REQUIRE(send_file(another, "", "two").empty());
    CHECK(content(tree.path("log")) == "before one between two");
    Copying directory(name);
    CHECK(directory.send({kTop}) == "open --copy-out: " + name + ": Not a directory");
    ::close(log);
    CHECK_FALSE(FileReceiver::open({{.guest = "/x", .host = name}}, [] { return false; }));
}

TEST_CASE("what could not be read in the guest is a failure; what is no file is none") {
    const ScratchTree tree;
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop, {.kind = kLeftOut, .path = "socket", .mode = 0140777}}).empty());
    CHECK_FALSE(copying.has_failed());
    REQUIRE(copying.send({{.kind = kProblem, .path = "x", .value = 5}}).empty());
    CHECK(copying.has_failed());
}

TEST_CASE("a host that has no room says so") {
    Copying copying("/dev/full");
    CHECK(copying.send({{.kind = kFile}, {.kind = kData, .data = "x"}}) ==
          "write --copy-out: /dev/full: No space left on device");
}
