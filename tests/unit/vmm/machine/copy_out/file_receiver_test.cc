// SPDX-License-Identifier: Apache-2.0
// Files of a guest, in a directory of the host that an attacker may have prepared.
#include "vmm/machine/copy_out/file_receiver.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

/// Collects the log while it lives.
class Said {
  public:
    Said() { ::dup2(memory_, STDERR_FILENO); }
    Said(const Said&) = delete;
    Said& operator=(const Said&) = delete;
    ~Said() {
        ::dup2(before_, STDERR_FILENO);
        ::close(before_);
        ::close(memory_);
    }
    [[nodiscard]] std::string text() const { return content("/proc/self/fd/" + std::to_string(memory_)); }
    void has(const std::string& words) const {
        const std::string all = text();
        INFO(all);
        CHECK(all.find(words) != std::string::npos);
    }

  private:
    int memory_ = ::memfd_create("said", MFD_CLOEXEC);
    int before_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
};

/// An ordinary user, who unlike root may not write everywhere.
class Ordinary {
  public:
    Ordinary() { REQUIRE((before_ != 0 || ::seteuid(kNobody) == 0)); }
    Ordinary(const Ordinary&) = delete;
    Ordinary& operator=(const Ordinary&) = delete;
    ~Ordinary() {
        if (before_ == 0) (void)!::seteuid(before_);
    }

  private:
    static constexpr uid_t kNobody = 65534;
    const uid_t before_ = ::geteuid();
};

std::string refusal_of(const std::string& host, const std::string& guest = "/guest/out") {
    const auto opened = FileReceiver::open({{.guest = guest, .host = host}}, [] { return false; });
    return opened ? "" : opened.error().message();
}

/// Files that are copied out to `hosts`.
class Copying {
  public:
    explicit Copying(const std::vector<std::string>& hosts, const std::string& guest = "/guest/out") {
        std::vector<CopyOut> copies;
        for (const std::string& host : hosts) copies.push_back({.guest = guest, .host = host});
        auto opened = FileReceiver::open(copies, [this] { return should_give_up.load(); });
        INFO((opened ? "" : opened.error().message()));
        REQUIRE(opened.has_value());
        receiver_ = std::move(*opened);
        reader_ = std::make_unique<RecordReader>(static_cast<u32>(hosts.size()), *receiver_);
    }
    explicit Copying(const std::string& host, const std::string& guest = "/guest/out")
        : Copying(std::vector{host}, guest) {}

    /// \returns whether nothing has failed.
    bool send(std::initializer_list<Record> records) {
        const Result<void> fed = reader_->feed(as_bytes(bytes_of(records)));
        INFO((fed ? "" : fed.error().message()));
        REQUIRE(fed.has_value());
        return !receiver_->has_failed();
    }
    bool send_file(const std::string& path, const std::string& text, u32 mode = 0644, u32 copy = 0) {
        return send({{.kind = kFile, .path = path, .copy = copy, .mode = mode},
                     {.kind = kData, .data = text, .copy = copy},
                     {.kind = kFileEnd, .value = text.size(), .copy = copy}});
    }
    [[nodiscard]] bool wants_more() const { return receiver_->wants_more(); }
    std::atomic<bool> should_give_up = false;

  private:
    std::unique_ptr<FileReceiver> receiver_;
    std::unique_ptr<RecordReader> reader_;
};

const Record kTop{.kind = kDirectory, .mode = 040755};

std::size_t entries_of(const std::string& directory) {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

}  // namespace

TEST_CASE("a tree is made with its permissions, times and links") {
    const ScratchTree tree;
    ::umask(022);
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop, {.kind = kDirectory, .path = "sub", .mode = 040555}}));
    REQUIRE(copying.send_file("sub/tool", "#!/bin/sh\n", 0106755));
    REQUIRE(copying.send_file("secret", "s", 0100600));
    REQUIRE(copying.send({{.kind = kLink, .path = "sub/link", .data = "../secret"}, {.kind = kEnd}}));
    struct stat status {};
    REQUIRE(::lstat(tree.path("out/sub/tool").c_str(), &status) == 0);
    CHECK(status.st_mode == 0100755);  // not set-user-ID
    CHECK(status.st_mtim.tv_sec == 1'000'000'000);
    CHECK(status.st_mtim.tv_nsec == 500);
    CHECK(content(tree.path("out/sub/link")) == "s");
    REQUIRE(::lstat(tree.path("out/secret").c_str(), &status) == 0);
    CHECK(status.st_mode == 0100600);
    REQUIRE(::lstat(tree.path("out/sub").c_str(), &status) == 0);
    CHECK(status.st_mode == 040755);  // its owner can take it away again
    CHECK(entries_of(tree.path("out")) == 2);
}

TEST_CASE("names: as given, inside a directory with a slash, into an existing directory") {
    const ScratchTree tree;
    tree.file("there/kept", "kept");
    tree.file("there/old", "old and longer", 0600);
    tree.hard_link("there/old", "other");
    Copying inside(tree.path("there") + "/", "/guest/report.xml");
    REQUIRE(inside.send_file("", "<r/>"));
    CHECK(content(tree.path("there/report.xml")) == "<r/>");
    Copying onto(tree.path("there"));
    REQUIRE(onto.send({kTop}));
    REQUIRE(onto.send_file("old", "new", 0755));
    CHECK(content(tree.path("there/old")) == "new");
    CHECK(content(tree.path("there/kept")) == "kept");
    CHECK(content(tree.path("other")) == "old and longer");
    struct stat status {};
    REQUIRE(::stat(tree.path("there/old").c_str(), &status) == 0);
    CHECK(status.st_mode == 0100755);
    Copying dot(tree.path("there/."));
    REQUIRE(dot.send({kTop}));
    REQUIRE(dot.send_file("dotted", "d"));
    CHECK(content(tree.path("there/dotted")) == "d");
    // A file cannot replace a directory, so it goes into it.
    Copying file_onto(tree.path("there"), "/guest/log");
    REQUIRE(file_onto.send_file("", "l"));
    CHECK(content(tree.path("there/log")) == "l");
    Copying file_onto_dot(tree.path("there/."), "/guest/dot.log");
    REQUIRE(file_onto_dot.send_file("", "l"));
    CHECK(content(tree.path("there/dot.log")) == "l");
    // With a slash at both ends, the directory's content.
    Copying both(tree.path("there") + "/", "/guest/tree/");
    REQUIRE(both.send({kTop}));
    REQUIRE(both.send_file("inner", "i"));
    CHECK(content(tree.path("there/inner")) == "i");
    const Said said;
    tree.directory("there/out");
    Copying taken(tree.path("there"));
    CHECK_FALSE(taken.send_file("", "x"));
    said.has("there: is a directory, and the guest sent a file\n");
    Copying directory_onto(tree.path("there/kept"));
    CHECK_FALSE(directory_onto.send({kTop}));
    CHECK(content(tree.path("there/kept")) == "kept");
}

TEST_CASE("an impossible place is refused before anything is sent") {
    const ScratchTree tree;
    tree.directory("there");
    REQUIRE(::mkfifo(tree.path("pipe").c_str(), 0600) == 0);
    CHECK(refusal_of(tree.path("nowhere/x")) ==
          "open --copy-out: " + tree.path("nowhere") + ": No such file or directory (make it first)");
    CHECK(refusal_of(tree.path("there") + "/", "/a/..")
              .find("does not end in a name to use in the directory") != std::string::npos);
    CHECK(refusal_of(tree.path("pipe")) ==
          "--copy-out: " + tree.path("pipe") + ": is a FIFO that nobody reads");
    // A file is in the way of its directory.
    tree.file("file");
    CHECK_FALSE(refusal_of(tree.path("file/x")).empty());
    tree.directory("locked", 0555);
    tree.directory("locked/inner", 0555);
    const Ordinary user;
    CHECK(refusal_of(tree.path("locked/x")) ==
          "write --copy-out: " + tree.path("locked") + ": Permission denied");
    CHECK(refusal_of(tree.path("locked/inner")) ==
          "write --copy-out: " + tree.path("locked/inner") + ": Permission denied");
}

TEST_CASE("a file whose directory takes no new one is written in place") {
    const ScratchTree tree;
    tree.file("locked/mine", "longer than what comes", 0666);
    tree.directory("locked", 0555);
    const Ordinary user;
    Copying copying(tree.path("locked/mine"));
    REQUIRE(copying.send({{.kind = kFile},
                          {.kind = kData, .data = "new"},
                          {.kind = kData, .data = "end", .value = 5},
                          {.kind = kFileEnd, .value = 9}}));
    CHECK(content(tree.path("locked/mine")) == std::string("new\0\0end\0", 9));
}

TEST_CASE("a link that the user has named is followed; one that lies in a directory is replaced") {
    const ScratchTree tree;
    tree.file("target", "old");
    tree.symlink("target", "named");
    tree.symlink("later", "dangling");
    Copying named(tree.path("named"));
    REQUIRE(named.send_file("", "new"));
    CHECK(content(tree.path("target")) == "new");
    CHECK(std::filesystem::is_symlink(tree.path("named")));
    Copying dangling(tree.path("dangling"));
    REQUIRE(dangling.send_file("", "new"));
    CHECK(content(tree.path("later")) == "new");
    tree.directory("outside");
    tree.symlink("../target", "d/file");
    tree.symlink("../outside", "d/tree");
    Copying inside(tree.path("d") + "/", "/guest/file");
    REQUIRE(inside.send_file("", "theirs"));
    CHECK(content(tree.path("target")) == "new");
    CHECK(content(tree.path("d/file")) == "theirs");
    Copying directory(tree.path("d") + "/", "/guest/tree");
    REQUIRE(directory.send({kTop}));
    REQUIRE(directory.send_file("x", "theirs"));
    CHECK(std::filesystem::is_empty(tree.path("outside")));
    CHECK(content(tree.path("d/tree/x")) == "theirs");
}

TEST_CASE("an existing file or link below is replaced, not followed") {
    const ScratchTree tree;
    tree.file("mine", "mine");
    tree.directory("outside");
    tree.symlink("../mine", "out/link");
    tree.symlink("../outside", "out/dir");
    tree.hard_link("mine", "out/hard");
    const Said said;
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop}));
    REQUIRE(copying.send_file("link", "theirs"));
    REQUIRE(copying.send_file("hard", "theirs"));
    CHECK(content(tree.path("mine")) == "mine");
    CHECK(content(tree.path("out/link")) == "theirs");
    // Without a record for the directory, the user's own link would be followed.
    CHECK_FALSE(copying.send_file("dir/x", "theirs"));
    CHECK(std::filesystem::is_empty(tree.path("outside")));
    Copying again(tree.path("out"));
    REQUIRE(again.send({kTop, {.kind = kDirectory, .path = "dir", .mode = 0755}}));
    REQUIRE(again.send_file("dir/x", "theirs"));
    CHECK(std::filesystem::is_empty(tree.path("outside")));
    CHECK(content(tree.path("out/dir/x")) == "theirs");
}

TEST_CASE("a guest's links lead nowhere else, and no file is written through them") {
    const ScratchTree tree;
    tree.file("mine", "mine");
    const Said said;
    Copying copying(tree.path("out"));
    REQUIRE(copying.send({kTop,
                          {.kind = kLink, .path = "up", .data = "../mine"},
                          {.kind = kLink, .path = "absolute", .data = tree.path("mine")},
                          {.kind = kDirectory, .path = "d", .mode = 0755},
                          {.kind = kLink, .path = "d/here", .data = "."},
                          {.kind = kLink, .path = "trick", .data = "d/here/../.."},
                          {.kind = kLink, .path = "d/good", .data = ".././d/here/x"}}));
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/up")));
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/absolute")));
    CHECK_FALSE(std::filesystem::is_symlink(tree.path("out/trick")));
    CHECK(std::filesystem::is_symlink(tree.path("out/d/good")));
    said.has("warning: --copy-out: /guest/out/up: is left out: the link leads out of the copy, to ../mine");
    // A directory that has become a link since.
    REQUIRE(copying.send({{.kind = kLink, .path = "e", .data = "d"}}));
    CHECK_FALSE(copying.send_file("e/x", "theirs"));
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
    CHECK_FALSE(stays_inside("d/e/l", "a/../../b"));  // `a` itself may lead up already
    CHECK_FALSE(stays_inside("d/l", "..//../a"));
}

TEST_CASE("a file is whole or does not exist") {
    const ScratchTree tree;
    tree.file("old", "old");
    {
        Copying copying(tree.path("old"));
        REQUIRE(copying.send({{.kind = kFile}, {.kind = kData, .data = "the beginning"}}));
        CHECK(content(tree.path("old")) == "old");
    }
    CHECK(content(tree.path("old")) == "old");
    const Said said;
    Copying problem(tree.path("new"));
    REQUIRE_FALSE(problem.send(
        {{.kind = kFile}, {.kind = kData, .data = "the beginning"}, {.kind = kProblem, .value = 5}}));
    said.has("mayfly: --copy-out: /guest/out: Input/output error\n");
    CHECK(entries_of(tree.path()) == 1);
}

TEST_CASE("holes stay holes, and a pipe gets them as zeros") {
    const ScratchTree tree;
    Copying copying(tree.path("disk"));
    const u64 large = u64{1} << 33;
    REQUIRE(copying.send({{.kind = kFile},
                          {.kind = kData, .data = "begin"},
                          {.kind = kData, .data = "late", .value = large},
                          {.kind = kFileEnd, .value = large + 4096}}));
    struct stat status {};
    REQUIRE(::stat(tree.path("disk").c_str(), &status) == 0);
    CHECK(static_cast<u64>(status.st_size) == large + 4096);
    CHECK(status.st_blocks * 512 < 1 << 20);
    REQUIRE(::mkfifo(tree.path("pipe").c_str(), 0600) == 0);
    const int reader = ::open(tree.path("pipe").c_str(), O_RDONLY | O_NONBLOCK);
    Copying piped(tree.path("pipe"));
    REQUIRE(piped.send({{.kind = kFile},
                        {.kind = kData, .data = "a"},
                        {.kind = kData, .data = "b", .value = 9000},
                        {.kind = kFileEnd, .value = 9002}}));
    std::string read(20'000, 'x');
    read.resize(static_cast<std::size_t>(::read(reader, read.data(), read.size())));
    CHECK(read == "a" + std::string(8999, '\0') + "b" + std::string(1, '\0'));
    ::close(reader);
}

TEST_CASE("an endless file is given up when mayfly has to end") {
    const Said said;
    Copying copying("/dev/null");
    std::thread end([&] {
        ::usleep(50'000);
        copying.should_give_up = true;
    });
    CHECK_FALSE(copying.send({{.kind = kFile}, {.kind = kFileEnd, .value = u64{1} << 62}}));
    end.join();
    said.has("--copy-out: /dev/null: is not written to its end: mayfly was to end");
    CHECK_FALSE(copying.wants_more());
}

TEST_CASE("a descriptor of ours takes a file after its present content, also a non-blocking one") {
    const ScratchTree tree;
    tree.file("log", "before ");
    const int log = ::open(tree.path("log").c_str(), O_WRONLY | O_APPEND);  // not closed on exec
    const std::string name = "/dev/fd/" + std::to_string(log);
    Copying copying(std::vector{name, name});
    REQUIRE(copying.send_file("", "one "));
    REQUIRE(::write(log, "between ", 8) == 8);
    REQUIRE(copying.send_file("", "two", 0644, 1));
    CHECK(content(tree.path("log")) == "before one between two");
    {
        const Said said;
        Copying directory(name);
        CHECK_FALSE(directory.send({kTop}));
        said.has("open --copy-out: " + name + ": Not a directory");
    }
    // A descriptor that was not handed to us.
    REQUIRE(::fcntl(log, F_SETFD, FD_CLOEXEC) == 0);
    CHECK(refusal_of(name) == "--copy-out: " + name + ": mayfly was started without this descriptor");
    ::close(log);
    int pipe[2];
    REQUIRE(::pipe(pipe) == 0);
    REQUIRE(::fcntl(pipe[1], F_SETFL, O_NONBLOCK) == 0);
    const std::string text(300'000, 'p');
    std::string read;
    std::thread reader([&] {
        char buffer[4096];
        for (ssize_t got = 0; (got = ::read(pipe[0], buffer, sizeof(buffer))) > 0;)
            read.append(buffer, static_cast<std::size_t>(got));
    });
    {
        Copying piped("/dev/fd/" + std::to_string(pipe[1]));
        ::close(pipe[1]);
        for (std::size_t at = 0; at < text.size(); at += 60'000) {
            if (at == 0) REQUIRE(piped.send({{.kind = kFile}}));
            REQUIRE(piped.send({{.kind = kData, .data = text.substr(at, 60'000), .value = at}}));
        }
        REQUIRE(piped.send({{.kind = kFileEnd, .value = text.size()}}));
    }
    reader.join();
    CHECK(read == text);
    ::close(pipe[0]);
}

TEST_CASE("a failure ends its own copy, and no other") {
    const ScratchTree tree;
    tree.directory("d/busy");
    tree.file("d/busy/x");
    const Said said;
    Copying copying({"/dev/full", tree.path("d"), tree.path("good")});
    CHECK_FALSE(copying.send_file("", "x"));
    said.has("mayfly: write --copy-out: /dev/full: No space left on device\n");
    CHECK_FALSE(copying.send({{.kind = kDirectory, .copy = 1}}));
    CHECK_FALSE(copying.send_file("first", "1", 0644, 1));
    CHECK_FALSE(copying.send_file("busy", "x", 0644, 1));
    said.has("d/busy: is a directory, and the guest sent a file; no more of " + tree.path("d") +
             " is made\n");
    CHECK_FALSE(copying.send_file("second", "2", 0644, 1));
    CHECK(copying.wants_more());
    CHECK_FALSE(copying.send_file("", "good", 0644, 2));
    CHECK(content(tree.path("d/first")) == "1");
    CHECK_FALSE(std::filesystem::exists(tree.path("d/second")));
    CHECK(content(tree.path("good")) == "good");
}

TEST_CASE("a node that is not a file is left out with a warning, and fails if it was named") {
    const ScratchTree tree;
    const Said said;
    Copying copying({tree.path("out"), tree.path("disk"), tree.path("late")});
    REQUIRE(copying.send({kTop}));
    for (int i = 0; i < 30; ++i)
        REQUIRE(copying.send({{.kind = kLeftOut, .path = "pipe" + std::to_string(i), .mode = 0010644}}));
    said.has("warning: --copy-out: further files that are left out are not shown");
    CHECK(said.text().find("pipe20:") == std::string::npos);
    CHECK_FALSE(copying.send({{.kind = kLeftOut, .copy = 1, .mode = 0060600}}));
    said.has("mayfly: --copy-out: /guest/out: is left out: it is a device\n");
    CHECK_FALSE(copying.send({{.kind = kProblem, .value = 2, .copy = 2}}));
    said.has("mayfly: --copy-out: /guest/out: No such file or directory\n");
}
