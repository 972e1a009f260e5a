// SPDX-License-Identifier: Apache-2.0
// The archive for a guest whose root is a directory of the host itself.
#include <filesystem>

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

/// A root, and a tree beside it.
struct LiveRoot {
    explicit LiveRoot(RootKind kind) {
        root.file("bin/true", elf_program(), 0755);
        root.file("etc/passwd", "ann:x:1000:1001::/home/ann:/bin/sh\n");
        root.file("usr/lib/both", "root's");
        root.symlink("usr/lib", "lib");
        for (const char* name : {"proc", "sys", "dev"}) root.directory(name);
        tree.file("prog", elf_program(), 0755);
        tree.file("dir/both", "ours");
        tree.file("dir/sub/new", "ours");
        request = request_for("/bin/true", root.path());
        request.root_kind = kind;
    }
    [[nodiscard]] std::vector<NewcEntry> entries() const {
        const Result<UniqueFd> packed = pack_initramfs(request);
        INFO((packed ? "" : packed.error().message()));
        REQUIRE(packed.has_value());
        return read_newc(read_all(*packed));
    }
    /// Whether the job has a string.
    [[nodiscard]] bool has_field(const std::string& field) const {
        return entry(entries(), ".mayfly/job").content.find('\0' + field + '\0') != std::string::npos;
    }
    void copy(const std::string& host, const std::string& guest) {
        request.copies_in.push_back({.host = tree.path(host), .guest = guest});
    }

    ScratchTree root;
    ScratchTree tree;
    InitramfsRequest request;
};

std::vector<std::string> names(const std::vector<NewcEntry>& entries) {
    std::vector<std::string> all;
    for (const NewcEntry& one : entries) all.push_back(one.name);
    return all;
}

}  // namespace

TEST_CASE("a live root is not packed, and the job tells its kind") {
    const LiveRoot overlay(RootKind::Overlay);
    CHECK(names(overlay.entries()) == std::vector<std::string>{".", ".mayfly", ".mayfly/init", ".mayfly/job",
                                                               "proc", "sys", "dev", "tmp", "run",
                                                               "dev/console", ".mayfly/end"});
    CHECK(overlay.has_field("lro"));
    CHECK(overlay.has_field("p/bin/true"));
    const LiveRoot writable(RootKind::Writable);
    CHECK(writable.has_field("lrw"));
    CHECK(names(writable.entries()).size() == 11);
}

TEST_CASE("the program and its user are looked up in a live root's directory") {
    LiveRoot live(RootKind::Overlay);
    live.request.user = "ann";
    CHECK(live.has_field("u1000 1001"));
    CHECK(live.has_field("eHOME=/home/ann"));
    live.request.program = "/bin/false";
    CHECK(refusal(live.request) == live.root.path() + "/bin/false: no such program");
}

TEST_CASE("a program of the host lies beside a live root") {
    LiveRoot live(RootKind::Writable);
    live.request.program = "./prog";
    const std::filesystem::path before = std::filesystem::current_path();
    std::filesystem::current_path(live.tree.path());
    const auto entries = live.entries();
    const bool has_program = live.has_field("p/dev/.mayfly/bin/prog");
    std::filesystem::current_path(before);
    CHECK(entry(entries, ".mayfly/bin/prog").mode == (S_IFREG | 0755));
    CHECK(has_program);
}

TEST_CASE("copies for a live root lie apart, with all their parent directories") {
    LiveRoot live(RootKind::Overlay);
    live.request.user = "ann";
    live.copy("dir", "/lib");
    live.copy("dir/both", "/usr/lib/");
    live.copy("dir/both", "/tmp/new/name");
    const auto entries = live.entries();
    for (const char* name : {"lib", "lib/sub", "usr", "usr/lib", "tmp", "tmp/new"}) {
        INFO(name);
        CHECK(S_ISDIR(entry(entries, std::string(".mayfly/copies/") + name).mode));
    }
    CHECK(entry(entries, ".mayfly/copies/lib/both").content == "ours");
    CHECK(entry(entries, ".mayfly/copies/lib/both").uid == 1000);
    CHECK(entry(entries, ".mayfly/copies/usr/lib/both").content == "ours");
    CHECK(entry(entries, ".mayfly/copies/tmp/new/name").content == "ours");
    CHECK_FALSE(has_entry(entries, "lib"));
    CHECK(entries.back().name == ".mayfly/end");
}

TEST_CASE("a copy to an impossible place in a live root is refused by its name in the guest") {
    LiveRoot live(RootKind::Overlay);
    live.copy("dir", "/bin/true");
    CHECK(refusal(live.request)
              .find("copies a directory onto /bin/true, which is not a directory in the guest") !=
          std::string::npos);
    live.request.copies_in.clear();
    live.copy("dir/both", "/bin/true/in");
    CHECK(refusal(live.request).find("/bin/true: is not a directory in the guest") != std::string::npos);
}

TEST_CASE("a writable root without mount points is refused; an overlay needs none") {
    LiveRoot live(RootKind::Writable);
    std::filesystem::remove(live.root.path("sys"));
    CHECK(refusal(live.request) == live.root.path() +
                                       ": has no directory sys, where the guest must mount its "
                                       "kernel's file system (mkdir " +
                                       live.root.path() +
                                       "/sys; or without ,rw it is made in the guest's memory)");
    live.root.symlink("usr", "sys");
    CHECK(refusal(live.request).find("has no directory sys") != std::string::npos);
    live.request.root_kind = RootKind::Overlay;
    CHECK(pack_initramfs(live.request).has_value());
}
