// SPDX-License-Identifier: Apache-2.0
// Which program a guest runs, which requests are refused before it starts, and the job for init.
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/initramfs/newc_reader.h"
#include "tests/unit/vmm/initramfs/scratch_tree.h"

using namespace mayfly;
using namespace mayfly::test;

namespace {

constexpr const char* kHint = " (give its root with --root, or link it statically)";

std::vector<NewcEntry> packed(const InitramfsRequest& request) {
    const Result<UniqueFd> archive = pack_initramfs(request);
    INFO((archive ? "" : archive.error().message()));
    REQUIRE(archive.has_value());
    return read_newc(read_all(*archive));
}

/// The strings of the job: NUL-ended, the first and the last as the format has them.
std::vector<std::string> job(const InitramfsRequest& request) {
    const std::string text = entry(packed(request), ".mayfly/job").content;
    std::vector<std::string> fields;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\0', at);
        REQUIRE(end != std::string::npos);
        fields.push_back(text.substr(at, end - at));
        at = end + 1;
    }
    REQUIRE(fields.size() > 2);
    CHECK(fields.front() == "mayfly job 1");
    CHECK(fields.back() == ".");
    return {fields.begin() + 1, fields.end() - 1};
}

std::vector<std::string> of_kind(const std::vector<std::string>& fields, char kind) {
    std::vector<std::string> values;
    for (const std::string& field : fields)
        if (field[0] == kind) values.push_back(field.substr(1));
    return values;
}

ErrorKind refusal_kind(const InitramfsRequest& request) { return pack_initramfs(request).error().kind(); }

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("an absolute program is inside the root, and nothing is packed beside it") {
    const ScratchTree root;
    root.file("bin/true", elf_program(), 0755);
    const InitramfsRequest request = request_for("/bin/true", root.path());
    CHECK(of_kind(job(request), 'p') == Strings{"/bin/true"});
    CHECK_FALSE(has_entry(packed(request), ".mayfly/bin"));
}

TEST_CASE("a bare name is searched in the root as a shell would") {
    const ScratchTree root;
    root.file("bin/tool", elf_program(), 0755);
    CHECK(of_kind(job(request_for("tool", root.path())), 'p') == Strings{"/bin/tool"});
    root.file("usr/bin/tool", elf_program(), 0755);
    CHECK(of_kind(job(request_for("tool", root.path())), 'p') == Strings{"/usr/bin/tool"});
    // Neither a directory nor a file that is not executable hides the one behind it.
    root.file("usr/local/sbin/tool", elf_program(), 0644);
    root.directory("usr/local/bin/tool");
    CHECK(of_kind(job(request_for("tool", root.path())), 'p') == Strings{"/usr/bin/tool"});
    CHECK(refusal(request_for("tol", root.path())) ==
          "tol: no such program in " + root.path() +
              "'s /usr/local/sbin, /usr/local/bin, /usr/sbin, /usr/bin, /sbin and /bin (./tol would be a "
              "file of "
              "the host)");
    CHECK(refusal_kind(request_for("tol", root.path())) == ErrorKind::NotFound);
    root.file("sbin/only", elf_program(), 0644);
    CHECK(refusal(request_for("only", root.path())) ==
          root.path() + "/sbin/only: is not executable (chmod +x)");
}

TEST_CASE("a relative path with a slash is a file of the host, with and without a root") {
    const ScratchTree tree;
    tree.file("root/bin/sh", elf_program(), 0755);
    tree.file("work/test", elf_program() + "host", 0755);
    char before[4096];
    REQUIRE(::getcwd(before, sizeof(before)) != nullptr);
    REQUIRE(::chdir(tree.path("work").c_str()) == 0);
    for (const std::string& root : {std::string(), tree.path("root")}) {
        const InitramfsRequest request = request_for("./test", root);
        CHECK(of_kind(job(request), 'p') == Strings{"/.mayfly/bin/test"});
        CHECK(of_kind(job(request), 'a') == Strings{"./test"});
        CHECK(entry(packed(request), ".mayfly/bin/test").content == elf_program() + "host");
    }
    // Without a root a bare name is one, too.
    CHECK(of_kind(job(request_for("test")), 'p') == Strings{"/.mayfly/bin/test"});
    REQUIRE(::chdir(before) == 0);
}

TEST_CASE("a program that does not exist is not found") {
    const ScratchTree tree;
    tree.file("root/bin/true", elf_program(), 0755);
    const InitramfsRequest cases[] = {
        request_for(tree.path("none")), request_for(tree.path("root/bin/true/x")),
        request_for("/bin/none", tree.path("root")), request_for("./none", tree.path("root"))};
    for (const InitramfsRequest& request : cases) {
        CHECK(refusal(request).find(": no such program") != std::string::npos);
        CHECK(refusal_kind(request) == ErrorKind::NotFound);
    }
}

TEST_CASE("a file that is not a program is refused with the reason") {
    const ScratchTree tree;
    tree.directory("directory");
    tree.file("plain", elf_program(), 0644);
    tree.file("empty", "", 0755);
    tree.file("text", "echo hello\n", 0755);
    tree.file("arm", elf_program("", 183), 0755);
    tree.file("object", elf_program("", 62, 1), 0755);
    tree.file("cut", elf_program().substr(0, 100), 0755);
    tree.file("header", elf_program().substr(0, 20), 0755);
    tree.file("nameless", "#! \n", 0755);
    REQUIRE(::mkfifo(tree.path("pipe").c_str(), 0755) == 0);
    const auto why = [&](const std::string& name) {
        const std::string message = refusal(request_for(tree.path(name)));
        const std::string start = tree.path(name) + ": ";
        REQUIRE(message.substr(0, start.size()) == start);
        return message.substr(start.size());
    };
    CHECK(why("directory") == "is a directory, not a program");
    CHECK(why("plain") == "is not executable (chmod +x)");
    CHECK(why("empty") == "is neither an ELF program nor a script that begins with #!");
    CHECK(why("text") == "is neither an ELF program nor a script that begins with #!");
    CHECK(why("arm") == "is for another machine (ELF e_machine 183), the guest is x86-64");
    CHECK(why("object") == "is an ELF file but no program (e_type 1)");
    CHECK(why("cut") == "is truncated: its program headers are beyond its end");
    CHECK(why("header") == "is neither an ELF program nor a script that begins with #!");
    CHECK(why("nameless") == "is a script whose #! line names no interpreter");
    CHECK(why("pipe") == "is not a file, so no program");
    CHECK(refusal(request_for("")) == "the program's name is empty");
}

TEST_CASE("a dynamically linked program needs its interpreter in the root") {
    const ScratchTree tree;
    tree.file("dynamic", elf_program("/lib64/ld.so"), 0755);
    CHECK(refusal(request_for(tree.path("dynamic"))) ==
          tree.path("dynamic") + ": needs the interpreter /lib64/ld.so, which the guest will not have" +
              kHint);
    tree.file("root/bin/dynamic", elf_program("/lib64/ld.so"), 0755);
    const InitramfsRequest request = request_for("dynamic", tree.path("root"));
    CHECK(refusal(request) == tree.path("root") + "/bin/dynamic: needs the interpreter /lib64/ld.so, which " +
                                  tree.path("root") + " does not have: No such file or directory" + kHint);
    tree.file("root/lib/ld.so", elf_program(), 0755);
    tree.symlink("/lib", "root/lib64");
    CHECK(pack_initramfs(request).has_value());
}

TEST_CASE("a script needs its interpreter, and that one's, in the root") {
    const ScratchTree tree;
    tree.file("root/run", "#! /bin/sh -e\necho\n", 0755);
    const InitramfsRequest request = request_for("/run", tree.path("root"));
    CHECK(refusal(request) == tree.path("root") + "/run: needs the interpreter /bin/sh, which " +
                                  tree.path("root") + " does not have: No such file or directory" + kHint);
    tree.file("root/bin/sh", elf_program("/lib/ld.so"), 0755);
    CHECK(refusal(request).find("/bin/sh: needs the interpreter /lib/ld.so") != std::string::npos);
    tree.file("root/lib/ld.so", elf_program(), 0644);
    CHECK(refusal(request) == tree.path("root") + "/lib/ld.so: is not executable (chmod +x)");
    REQUIRE(::chmod(tree.path("root/lib/ld.so").c_str(), 0755) == 0);
    CHECK(pack_initramfs(request).has_value());
    CHECK(refusal(request_for(tree.path("root/run"))).find("/bin/sh, which the guest will not have") !=
          std::string::npos);
}

TEST_CASE("interpreters that interpret each other end") {
    const ScratchTree root;
    root.file("a", "#!/b\n", 0755);
    root.file("b", "#!/a\n", 0755);
    CHECK(refusal(request_for("/a", root.path())) ==
          root.path() + "/a: needs more than 5 interpreters of interpreters");
}

TEST_CASE("links of a root are followed inside it and never out of it") {
    const ScratchTree tree;
    tree.file("outside", elf_program(), 0755);
    tree.file("root/real/tool", elf_program(), 0755);
    tree.symlink("/real/tool", "root/absolute");
    tree.symlink("../../../../real/tool", "root/up");
    tree.symlink(tree.path("outside"), "root/out");
    tree.symlink("../outside", "root/climb");
    tree.symlink("circle", "root/circle");
    CHECK(pack_initramfs(request_for("/absolute", tree.path("root"))).has_value());
    CHECK(pack_initramfs(request_for("/up", tree.path("root"))).has_value());
    CHECK(pack_initramfs(request_for("/../../real/../absolute", tree.path("root"))).has_value());
    CHECK(refusal_kind(request_for("/out", tree.path("root"))) == ErrorKind::NotFound);
    CHECK(refusal_kind(request_for("/climb", tree.path("root"))) == ErrorKind::NotFound);
    CHECK(refusal_kind(request_for("/../outside", tree.path("root"))) == ErrorKind::NotFound);
    CHECK(refusal(request_for("/circle", tree.path("root"))) ==
          "open " + tree.path("root") + "/circle: Too many levels of symbolic links");
}

TEST_CASE("the job has every argument with all its bytes, and the port") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    InitramfsRequest request = request_for(tree.path("prog"));
    request.arguments = {"", "a b", "new\nline", "\xff\x01", "-x", "."};
    const auto fields = job(request);
    Strings expected = request.arguments;
    expected.insert(expected.begin(), tree.path("prog"));
    CHECK(of_kind(fields, 'a') == expected);
    CHECK(of_kind(fields, 's') == Strings{"1300"});
    CHECK(of_kind(fields, 'c') == Strings{"1568"});
    CHECK(of_kind(fields, 'm').empty());
    CHECK(of_kind(fields, 't').empty());
    CHECK(of_kind(fields, '1').empty());
    CHECK(of_kind(fields, 'r').empty());
}

TEST_CASE("the job says whether the monitor is told when the program runs") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    InitramfsRequest request = request_for(tree.path("prog"));
    request.tells_start = true;
    CHECK(of_kind(job(request), 'r') == Strings{""});
}

TEST_CASE("the job has the kind of the program's streams") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    InitramfsRequest request = request_for(tree.path("prog"));
    request.terminal = {.rows = 24, .columns = 132};
    request.has_one_output = true;
    const auto fields = job(request);
    CHECK(of_kind(fields, 't') == Strings{"24 132"});
    CHECK(of_kind(fields, '1') == Strings{""});
}

TEST_CASE("the job has each share's place, and its tag behind it") {
    ScratchTree tree;
    InitramfsRequest request = request_for(tree.path("prog"));
    tree.file("prog", elf_program(), 0755);
    const auto shares = [&] {
        Strings found;
        for (const std::string& field : job(request))
            if (field.front() == 'v' || field.front() == 'i') found.push_back(field);
        return found;
    };
    CHECK(shares().empty());
    request.shares = {{.tag = "share0", .place = "/mnt/one two"},
                      {.tag = "a tag", .place = "/mnt/one two/in", .is_read_only = true}};
    CHECK(shares() == Strings{"vrw /mnt/one two", "ishare0", "vro /mnt/one two/in", "ia tag"});
}

TEST_CASE("the job has the networks' records as they are") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    InitramfsRequest request = request_for(tree.path("prog"));
    CHECK(of_kind(job(request), 'n').empty());
    request.networks = {"020000000001 near dhcp=3", "020000000002"};
    CHECK(of_kind(job(request), 'n') == request.networks);
}

TEST_CASE("the environment has default PATH, HOME and TERM, which can be replaced") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    InitramfsRequest request = request_for(tree.path("prog"));
    CHECK(
        of_kind(job(request), 'e') ==
        Strings{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/", "TERM=linux"});
    request.environment = {"HOME=/root", "X=1=2", "PATHS=3"};
    CHECK(of_kind(job(request), 'e') ==
          Strings{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux",
                  "HOME=/root", "X=1=2", "PATHS=3"});
}

TEST_CASE("init is in every archive, as a static program that is executable") {
    const ScratchTree tree;
    tree.file("prog", elf_program(), 0755);
    const auto entries = packed(request_for(tree.path("prog")));
    const NewcEntry& init = entry(entries, ".mayfly/init");
    CHECK(init.mode == (0100000 | 0755));
    CHECK(init.content.size() < 27 * 1024);
    // It passes the check that programs of users have to pass.
    tree.file("init", init.content, 0755);
    CHECK(pack_initramfs(request_for(tree.path("init"))).has_value());
}
