// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/outputs/named_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/unit/vmm/watch/scratch_file.h"

using namespace mayfly;

namespace {

/// The message for an output beside an input or another output; empty where they may be together.
std::string clash(const std::string& output, const std::string& input, const std::string& other = {}) {
    NamedFiles files;
    files.add_output("--log", output);
    if (!input.empty()) files.add_input("KERNEL", input);
    if (!other.empty()) files.add_output("--junit", other);
    const Result<void> all = files.check_all();
    CHECK(files.check("--log").has_value() == all.has_value());
    return all ? std::string() : all.error().message();
}

}  // namespace

TEST_CASE("an output that is an input is found under each of its names") {
    const ScratchDirectory scratch;
    const std::string file = scratch.file("file");
    std::ofstream(file) << "kernel";
    REQUIRE(::symlink("file", scratch.file("symlink").c_str()) == 0);
    REQUIRE(::link(file.c_str(), scratch.file("hardlink").c_str()) == 0);
    const int fd = ::open(file.c_str(), O_RDWR);
    for (const std::string& name :
         {file, scratch.path() + "/./file", scratch.file("symlink"), scratch.file("hardlink"),
          "/dev/fd/" + std::to_string(fd), "/proc/self/fd/" + std::to_string(fd)}) {
        INFO(name);
        const std::string message = clash(name, file);
        CHECK_THAT(message, Catch::Contains("--log " + name) && Catch::Contains("KERNEL " + file));
        CHECK_THAT(clash(name, "", file), Catch::Contains("--log " + name + " and --junit " + file));
    }
    ::close(fd);
    CHECK(clash(scratch.file("another"), file).empty());
    CHECK(contents(file) == "kernel");
}

TEST_CASE("two names of a file that does not exist yet are found as well") {
    const ScratchDirectory scratch;
    const std::string file = scratch.file("new");
    REQUIRE(::symlink("new", scratch.file("dangling").c_str()) == 0);
    CHECK_FALSE(clash(file, file).empty());
    CHECK_FALSE(clash(scratch.file("dangling"), "", file).empty());
    CHECK_FALSE(clash(scratch.path() + "/../" + scratch.path().substr(5) + "/new", "", file).empty());
    CHECK(clash(file, scratch.file("newer")).empty());
    CHECK(clash(file, "/no/such/new", "/no/such/new").empty());  // opening them says why
}

TEST_CASE("a file that is packed may be written later, but not during packing") {
    const ScratchDirectory scratch;
    const std::string file = scratch.file("file");
    std::ofstream(file) << "text";
    const auto check = [&](const auto& add) {
        NamedFiles files;
        add(files);
        files.add_late_output("--copy-out", file);
        const Result<void> all = files.check_all();
        return all ? std::string() : all.error().message();
    };
    CHECK(check([&](NamedFiles& files) { files.add_copied("--copy-in", file); }).empty());
    CHECK(check([&](NamedFiles& files) { files.add_tree("--root", scratch.path(), false); }).empty());
    CHECK_THAT(check([&](NamedFiles& files) { files.add_input("--disk", file); }),
               Catch::Contains("--copy-out " + file + " and --disk " + file + " are one file"));
    CHECK_THAT(check([&](NamedFiles& files) { files.add_output("--log", file); }),
               Catch::Contains("are one file"));
    CHECK_THAT(check([&](NamedFiles& files) { files.add_late_output("--copy-out", file); }),
               Catch::Contains("are one file"));
    NamedFiles meanwhile;
    meanwhile.add_copied("--copy-in", file);
    meanwhile.add_output("--log", file);
    REQUIRE_FALSE(meanwhile.check_all());
    CHECK_THAT(meanwhile.check_all().error().message(), Catch::Contains("--log would destroy it"));
    // The packer need not check for this file.
    NamedFiles late;
    late.add_late_output("--copy-out", file);
    CHECK(late.outputs().empty());
    // stdout takes an output that follows the program's.
    NamedFiles stream;
    stream.reserve_stdout("the guest's console", "");
    stream.add_late_output("--copy-out", "-");
    stream.add_late_output("--copy-out", "/dev/stdout");
    CHECK(stream.check_all());
}

TEST_CASE("terminals and /dev/null take the output of several") {
    CHECK(clash("/dev/null", "", "/dev/null").empty());
    CHECK_FALSE(clash("/dev/fd/2", "", "/dev/stderr").empty());
    CHECK_FALSE(clash("-", "", "/dev/stdout").empty());
}

TEST_CASE("neither the guest's stdout nor a standard descriptor's file may be an output") {
    const ScratchDirectory scratch;
    NamedFiles files;
    files.reserve_stdout("the guest's console", "what frees it");
    files.add_output("--junit", "-");
    const Result<void> refused = files.check("--junit");
    REQUIRE_FALSE(refused);
    CHECK_THAT(refused.error().message(), Catch::Contains("--junit -: stdout is the guest's console"));
    NamedFiles free;
    free.add_standard(STDERR_FILENO);
    free.add_output("--log", "/dev/stderr");
    CHECK(free.check_all());

    const int saved = ::dup(STDIN_FILENO);
    const int file = ::open(scratch.file("file").c_str(), O_RDWR | O_CREAT, 0600);
    REQUIRE(::dup2(file, STDIN_FILENO) == STDIN_FILENO);
    NamedFiles named;
    named.add_standard(STDIN_FILENO);
    named.add_output("--log", scratch.file("file"));
    const Result<void> same = named.check_all();
    REQUIRE(::dup2(saved, STDIN_FILENO) == STDIN_FILENO);
    ::close(saved);
    ::close(file);
    REQUIRE_FALSE(same);
    CHECK_THAT(same.error().message(), Catch::Contains("--log") && Catch::Contains("stdin"));
}
