// SPDX-License-Identifier: Apache-2.0
#include "vmm/snapshot/directory.h"

#include <array>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace mayfly {

namespace {

namespace fs = std::filesystem;

class Scratch {
  public:
    Scratch() {
        std::string name = (fs::temp_directory_path() / "mayfly-snapshot-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        fs::permissions(path_, fs::perms::owner_all);
        fs::remove_all(path_);
    }
    [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }
    [[nodiscard]] std::size_t entries() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
    }

  private:
    fs::path path_;
};

std::vector<std::byte> state() {
    const std::array sections{Section{.tag = section_tag("TEST"),
                                      .version = 1,
                                      .is_critical = true,
                                      .payload = {std::byte{1}, std::byte{2}}}};
    return write_state_file(sections);
}

void make(const std::string& name) {
    Result<SnapshotWriter> writer = SnapshotWriter::create(name);
    REQUIRE(writer.has_value());
    REQUIRE(::write(writer->memory().get(), "ram", 3) == 3);
    REQUIRE(writer->finish(state()).has_value());
}

std::string refusal_to_make(const std::string& name) {
    const Result<SnapshotWriter> writer = SnapshotWriter::create(name);
    REQUIRE_FALSE(writer.has_value());
    return writer.error().message();
}

std::string refusal_to_open(const std::string& name) {
    const Result<SnapshotFiles> files = open_snapshot(name);
    REQUIRE_FALSE(files.has_value());
    return files.error().message();
}

mode_t mode_of(const std::string& path) {
    struct stat about {};
    REQUIRE(::lstat(path.c_str(), &about) == 0);
    return about.st_mode & 07777U;
}

}  // namespace

TEST_CASE("a snapshot's directory is the owner's, and its files never change", "[snapshot]") {
    const Scratch scratch;
    for (const std::string& name : {scratch.at("one"), scratch.at("two///")}) {
        make(name);
        const Result<SnapshotFiles> files = open_snapshot(name);
        REQUIRE(files.has_value());
        CHECK(files->state == state());
        REQUIRE(files->sections.size() == 1);
        CHECK(files->sections.front().tag == section_tag("TEST"));
        std::array<char, 4> ram{};
        CHECK(::read(files->memory.get(), ram.data(), ram.size()) == 3);
        CHECK(mode_of(name) == 0700);
    }
    CHECK(mode_of(scratch.at("one/state")) == 0400);
    CHECK(mode_of(scratch.at("one/memory")) == 0400);
    CHECK(scratch.entries() == 2);
}

TEST_CASE("what is not finished leaves nothing", "[snapshot]") {
    const Scratch scratch;
    {
        const Result<SnapshotWriter> writer = SnapshotWriter::create(scratch.at("one"));
        REQUIRE(writer.has_value());
        CHECK(scratch.entries() == 1);
        CHECK_FALSE(fs::exists(scratch.at("one")));
    }
    CHECK(scratch.entries() == 0);
}

TEST_CASE("a name that is taken is not replaced", "[snapshot]") {
    const Scratch scratch;
    const std::string name = scratch.at("one");
    const std::string expected = name + " exists already (remove it, or give another name)";
    SECTION("before") {
        make(name);
        CHECK(refusal_to_make(name) == expected);
    }
    SECTION("by a link that leads nowhere") {
        fs::create_symlink("nowhere", name);
        CHECK(refusal_to_make(name) == expected);
    }
    SECTION("meanwhile") {
        Result<SnapshotWriter> writer = SnapshotWriter::create(name);
        REQUIRE(writer.has_value());
        fs::create_directory(name);
        const Result<void> finished = writer->finish(state());
        REQUIRE_FALSE(finished.has_value());
        CHECK(finished.error().message() == expected);
    }
    CHECK(fs::exists(fs::symlink_status(name)));
    CHECK(scratch.entries() <= 2);
}

TEST_CASE("what a killed mayfly left is removed, what a running one writes is not", "[snapshot]") {
    const Scratch scratch;
    const std::string gone = scratch.at("one.tmp.4194305");  // beyond any pid
    const std::string running = scratch.at("one.tmp.1");
    const std::string other = scratch.at("one.tmp.x");
    const std::string longer = scratch.at("one.more.tmp.4194305");
    for (const std::string& path : {gone, running, other, longer}) {
        fs::create_directory(path);
        std::ofstream(path + "/memory") << "half";
    }
    make(scratch.at("one"));
    CHECK_FALSE(fs::exists(gone));
    CHECK(fs::exists(running));
    CHECK(fs::exists(other));
    CHECK(fs::exists(longer));
}

TEST_CASE("a place where no snapshot can be made is named", "[snapshot]") {
    const Scratch scratch;
    CHECK(refusal_to_make(scratch.at("no/one")) ==
          "open " + scratch.at("no") + ": No such file or directory");
    std::ofstream(scratch.at("file")) << "x";
    CHECK(refusal_to_make(scratch.at("file/one")) == "open " + scratch.at("file") + ": Not a directory");
}

TEST_CASE("a limit on a file's size fails the snapshot, and nothing is left", "[snapshot]") {
    const Scratch scratch;
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    {
        Result<SnapshotWriter> writer = SnapshotWriter::create(scratch.at("one"));
        REQUIRE(writer.has_value());
        const rlimit limit{.rlim_cur = 10, .rlim_max = before.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
        const auto old = ::signal(SIGXFSZ, SIG_IGN);
        const Result<void> finished = writer->finish(state());
        ::signal(SIGXFSZ, old);
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
        REQUIRE_FALSE(finished.has_value());
        CHECK(finished.error().message() == "write " + scratch.at("one/state") + ": File too large");
    }
    CHECK(scratch.entries() == 0);
}

TEST_CASE("what is not a snapshot is refused by its name", "[snapshot]") {
    const Scratch scratch;
    const std::string name = scratch.at("one");
    CHECK(refusal_to_open(name) == name + ": no such snapshot");
    std::ofstream(scratch.at("file")) << "x";
    CHECK(refusal_to_open(scratch.at("file")) ==
          scratch.at("file") + " is not a directory, as a snapshot is");
    fs::create_directory(name);
    CHECK(refusal_to_open(name) == name + "/state: it is missing: this is not a whole snapshot");
    std::ofstream(name + "/state") << "{}";
    CHECK(refusal_to_open(name) ==
          name + "/state: it is not a snapshot of mayfly: it does not begin with mayflySS");
    const std::vector<std::byte> good = state();
    std::ofstream(name + "/state", std::ios::binary)
        .write(reinterpret_cast<const char*>(good.data()), static_cast<std::streamsize>(good.size()));
    CHECK(refusal_to_open(name) == name + "/memory: it is missing: this is not a whole snapshot");
    REQUIRE(::mkfifo((name + "/memory").c_str(), 0600) == 0);
    CHECK(refusal_to_open(name) == name + "/memory: it is not a regular file");
    fs::remove(name + "/memory");
    fs::create_symlink("state", name + "/memory");
    CHECK(refusal_to_open(name) == "open " + name + "/memory: Too many levels of symbolic links");
    fs::remove(name + "/memory");
    std::ofstream(name + "/memory") << "x";
    CHECK(open_snapshot(name).has_value());
    fs::resize_file(name + "/state", kStateBytesMax + 1);
    CHECK(refusal_to_open(name) == name + "/state: it has 16777217 bytes, the limit is 16777216");
}

}  // namespace mayfly
