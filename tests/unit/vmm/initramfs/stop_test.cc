// SPDX-License-Identifier: Apache-2.0
// Packing obeys a stop at any point.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include <fcntl.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/scratch_tree.h"
#include "vmm/initramfs/archive/archive.h"
#include "vmm/initramfs/archive/tree_walk.h"
#include "vmm/initramfs/module_list.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

UniqueFd open_directory(const std::string& path) {
    return UniqueFd::adopt(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

TEST_CASE("a walk ends with the entry at which it was stopped") {
    const ScratchTree tree;
    for (const char* name : {"a", "b/one", "b/two", "c"}) tree.file(name);
    std::atomic<bool> is_wanted = false;
    std::string last;
    const Result<void> walked = walk_tree(open_directory(tree.path()), "tree", StopToken(is_wanted),
                                          [&](const TreeEntry& entry) -> Result<void> {
                                              last = entry.path;
                                              is_wanted = last == "b/one";
                                              return {};
                                          });
    REQUIRE_FALSE(walked.has_value());
    CHECK(walked.error().kind() == ErrorKind::Stopped);
    CHECK(last == "b/one");
}

TEST_CASE("a directory of any size is not listed to its end") {
    const ScratchTree tree;
    tree.file("a");
    std::atomic<bool> is_wanted = true;
    bool is_visited = false;
    const Result<void> walked = walk_tree(open_directory(tree.path()), "tree", StopToken(is_wanted),
                                          [&](const TreeEntry&) -> Result<void> {
                                              is_visited = true;
                                              return {};
                                          });
    REQUIRE_FALSE(walked.has_value());
    CHECK(walked.error().kind() == ErrorKind::Stopped);
    CHECK_FALSE(is_visited);
}

TEST_CASE("an archive takes no more entries, and no more of a large file") {
    const ScratchTree tree;
    tree.sparse("large", MiB(40));
    const UniqueFd file = UniqueFd::adopt(::open(tree.path("large").c_str(), O_RDONLY | O_CLOEXEC));
    std::atomic<bool> is_wanted = false;
    ArchiveWriter archive = ArchiveWriter::create(MiB(64), StopToken(is_wanted)).value();
    REQUIRE(archive.add("small", {.mode = 0100644}, "text").has_value());
    // Called once the archive exceeds 64 MiB, when the large file's entry has begun.
    archive.set_forecast([&]() -> Result<TreeBytes> {
        is_wanted = true;
        return TreeBytes{.archive = MiB(1)};
    });
    REQUIRE(archive.add_file("large", {.mode = 0100644}, file, MiB(40)).has_value());
    const u64 before = archive.size_bytes();
    const Result<void> more = archive.add_file("more", {.mode = 0100644}, file, MiB(40));
    REQUIRE_FALSE(more.has_value());
    CHECK(archive.size_bytes() - before < MiB(1));
    is_wanted = true;
    CHECK(archive.add("other", {.mode = 0100644}, "text").error().kind() == ErrorKind::Stopped);
}

TEST_CASE("lists of modules that would keep a computer busy for days are abandoned") {
    ModuleTexts texts;
    texts.dependencies = "kernel/one.ko:\n";
    texts.soft_dependencies = "softdep one pre:";
    for (int i = 0; i < 200'000; ++i) texts.soft_dependencies += " two";
    for (int i = 0; i < 200'000; ++i) texts.aliases += "alias two three\n";
    const ModuleList list(texts);
    std::atomic<bool> is_wanted = false;
    std::thread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
        is_wanted = true;
    });
    const auto modules = list.resolve({"one"}, StopToken(is_wanted));
    stopper.join();
    REQUIRE_FALSE(modules.has_value());
    CHECK(modules.error().kind() == ErrorKind::Stopped);
}

TEST_CASE("nothing is packed after a stop") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    tree.file("root/bin/true", elf_program(), 0755);
    std::atomic<bool> is_wanted = true;
    InitramfsRequest request = request_for("/bin/true", tree.path("root"));
    request.stop = StopToken(is_wanted);
    CHECK(pack_initramfs(request).error().kind() == ErrorKind::Stopped);
    is_wanted = false;
    CHECK(pack_initramfs(request).has_value());
}
