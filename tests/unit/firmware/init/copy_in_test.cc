// SPDX-License-Identifier: Apache-2.0
// The files that init copies over a live root.
#include "firmware/init/copy_in.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/firmware/init/said.h"

using namespace mayfly;
namespace fs = std::filesystem;

namespace {

/// A directory with `from` and `to` in it.
class Scratch {
  public:
    Scratch() {
        char name[] = "/tmp/mayfly-copy-in-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path_ = name;
        fs::create_directory(path_ / "from");
        fs::create_directory(path_ / "to");
    }
    ~Scratch() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    [[nodiscard]] fs::path at(const std::string& name) const { return path_ / name; }
    void file(const std::string& name, const std::string& content, unsigned mode = 0644) const {
        fs::create_directories(at(name).parent_path());
        std::ofstream(at(name)) << content;
        REQUIRE(::chmod(at(name).c_str(), mode) == 0);
    }
    [[nodiscard]] std::string text(const std::string& name) const {
        std::ifstream file(at(name));
        return {std::istreambuf_iterator<char>(file), {}};
    }
    [[nodiscard]] struct stat status(const std::string& name) const {
        struct stat found {};
        REQUIRE(::lstat(at(name).c_str(), &found) == 0);
        return found;
    }
    [[nodiscard]] long copy() const { return init::copy_in(at("from").c_str(), at("to").c_str()); }

  private:
    fs::path path_;
};

}  // namespace

TEST_CASE("copies keep modes and times, and are removed from their source") {
    const Scratch scratch;
    scratch.file("from/a/b/file", std::string(300'000, 'x'), 04751);
    fs::create_symlink("b/file", scratch.at("from/a/link"));
    REQUIRE(::mkfifo(scratch.at("from/a/pipe").c_str(), 0600) == 0);
    REQUIRE(::chmod(scratch.at("from/a/b").c_str(), 01770) == 0);
    for (const char* name : {"from/a/b/file", "from/a/link", "from/a/b"}) {
        const timespec times[2] = {{1'000'000'000, 1}, {1'000'000'001, 2}};
        REQUIRE(::utimensat(AT_FDCWD, scratch.at(name).c_str(), times, AT_SYMLINK_NOFOLLOW) == 0);
    }
    REQUIRE(scratch.copy() == 0);
    CHECK(scratch.text("to/a/b/file").size() == 300'000);
    CHECK(scratch.status("to/a/b/file").st_mode == (S_IFREG | 04751));
    CHECK(scratch.status("to/a/b").st_mode == (S_IFDIR | 01770));
    CHECK(scratch.status("to/a/pipe").st_mode == (S_IFIFO | 0600));
    CHECK(fs::read_symlink(scratch.at("to/a/link")) == "b/file");
    for (const char* name : {"to/a/b/file", "to/a/link", "to/a/b"}) {
        INFO(name);
        CHECK(scratch.status(name).st_mtim.tv_sec == 1'000'000'001);
        CHECK(scratch.status(name).st_mtim.tv_nsec == 2);
    }
    CHECK_FALSE(fs::exists(scratch.at("from/a/b/file")));
    CHECK(test::take_said().empty());
}

TEST_CASE("a copy replaces a file, and is merged into a directory") {
    const Scratch scratch;
    scratch.file("to/usr/lib/theirs", "theirs", 0600);
    scratch.file("to/usr/lib/both", "theirs", 0600);
    scratch.file("to/elsewhere", "theirs");
    fs::create_symlink("usr/lib", scratch.at("to/lib"));
    fs::create_symlink("elsewhere", scratch.at("to/named"));
    REQUIRE(::chmod(scratch.at("to/usr/lib").c_str(), 0711) == 0);
    scratch.file("from/lib/both", "ours", 0640);
    scratch.file("from/lib/new", "ours");
    scratch.file("from/named", "ours");
    REQUIRE(scratch.copy() == 0);
    CHECK(fs::is_symlink(scratch.at("to/lib")));
    CHECK(scratch.text("to/usr/lib/theirs") == "theirs");
    CHECK(scratch.text("to/usr/lib/both") == "ours");
    CHECK(scratch.status("to/usr/lib/both").st_mode == (S_IFREG | 0640));
    CHECK(scratch.text("to/usr/lib/new") == "ours");
    CHECK(scratch.status("to/usr/lib").st_mode == (S_IFDIR | 0711));
    // No link is followed at the end of a name.
    CHECK(scratch.text("to/elsewhere") == "theirs");
    CHECK(scratch.text("to/named") == "ours");
}

TEST_CASE("a directory larger than one listing is copied whole") {
    const Scratch scratch;
    for (int i = 0; i < 500; ++i) scratch.file("from/some-directory/file-" + std::to_string(i), "x");
    REQUIRE(scratch.copy() == 0);
    CHECK(std::distance(fs::directory_iterator(scratch.at("to/some-directory")), {}) == 500);
    CHECK(fs::is_empty(scratch.at("from/some-directory")));
}

TEST_CASE("a failed copy is reported once, by its name") {
    const Scratch scratch;
    scratch.file("from/a/b/name", "ours");
    scratch.file("to/a/b", "a file");
    CHECK(scratch.copy() == -ENOTDIR);
    CHECK(test::take_said() == "cannot copy in b: ENOTDIR\n");
    fs::remove(scratch.at("to/a/b"));
    fs::create_directories(scratch.at("to/a/b/name"));
    CHECK(scratch.copy() == -EISDIR);
    CHECK(test::take_said() == "cannot copy in name: EISDIR\n");
}

TEST_CASE("without anything to copy in nothing happens") {
    const Scratch scratch;
    CHECK(init::copy_in(scratch.at("nowhere").c_str(), scratch.at("to").c_str()) == 0);
    CHECK(test::take_said().empty());
}
