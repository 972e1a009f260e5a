// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/table/option_hints.h"

#include <catch2/catch.hpp>

#include "vmm/command/options/boot_options.h"

using namespace mayfly;

namespace {

/// The message of `mayfly boot WORDS`; empty where the words are accepted.
std::string refusal(std::vector<std::string> words) {
    words.insert(words.begin(), "boot");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const Result<BootArguments> arguments = parse_boot_arguments(static_cast<int>(words.size()), argv.data());
    return arguments ? std::string() : arguments.error().message();
}

}  // namespace

TEST_CASE("a distance counts letters added, dropped, replaced and swapped", "[option_hints]") {
    CHECK(edit_distance("memory", "memory") == 0);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("abc", "") == 3);
    CHECK(edit_distance("memoy", "memory") == 1);
    CHECK(edit_distance("memmory", "memory") == 1);
    CHECK(edit_distance("memary", "memory") == 1);
    CHECK(edit_distance("memroy", "memory") == 1);
    CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest name resembles the word that was written, or none is given", "[option_hints]") {
    constexpr std::string_view kNames[] = {"memory", "modules", "module"};
    CHECK(nearest_name("memroy", kNames) == "memory");
    CHECK(nearest_name("modul", kNames) == "module");
    CHECK_FALSE(nearest_name("frobnicate", kNames));
    CHECK_FALSE(nearest_name("x", kNames));
    CHECK_FALSE(nearest_name("", kNames));
    CHECK_FALSE(nearest_name(std::string(100'000, 'm'), kNames));
}

TEST_CASE("a slip is answered by the option that was meant", "[option_hints]") {
    CHECK(refusal({"--memroy", "1G"}) ==
          "mayfly has no option '--memroy' (did you mean --memory? see --help)");
    CHECK(refusal({"-memory=1G"}) == "mayfly has no option '-memory' (did you mean --memory? see --help)");
    CHECK(refusal({"--frobnicate"}) == "mayfly has no option '--frobnicate' (see --help)");
    CHECK(refusal({"-x"}) == "mayfly has no option '-x' (see --help)");
}

TEST_CASE("the beginning of a name stands for it where no other name begins so", "[option_hints]") {
    CHECK(refusal({"--mem", "512M"}).empty());
    CHECK(refusal({"--mem=512M"}).empty());
    CHECK(refusal({"--timel"}).find("--timeline, --timeline-json") != std::string::npos);
    CHECK(refusal({"--timeline"}).empty());
    const std::string several = refusal({"--ti", "5"});
    CHECK(several.find("'--ti' may be any of --timeout, --timeline, --timeline-json") != std::string::npos);
    CHECK(refusal({"--copy"}).find("--copy-in, --copy-out") != std::string::npos);
}

TEST_CASE("a value for an option without one is refused", "[option_hints]") {
    CHECK(refusal({"--rng=3"}).find("--rng takes no value, and '--rng=3' gives it one") != std::string::npos);
    CHECK(refusal({"--tes=3"}).find("--testdev takes no value") != std::string::npos);
}

TEST_CASE("words of other monitors are answered by ours", "[option_hints]") {
    for (const auto& [word, here] : {std::pair("-m", "--memory SIZE"),
                                     {"-m512", "--memory SIZE"},
                                     {"--vcpus", "--cpus N"},
                                     {"--vcpus=2", "--cpus N"},
                                     {"--drive", "--disk FILE"},
                                     {"-kernel", "mayfly boot KERNEL"},
                                     {"-append", "--append STRING"},
                                     {"-initrd", "--initrd FILE"},
                                     {"-smp", "--cpus N"},
                                     {"--gdb", "GDB server"},
                                     {"-s", "GDB server"},
                                     {"--api-sock", "API socket"},
                                     {"--cmdline", "--append STRING"},
                                     {"-nographic", "--console"},
                                     {"--config-file", "configuration"},
                                     {"--initramfs", "--initrd FILE"},
                                     {"-p", "--append STRING"}}) {
        INFO(word);
        CHECK(refusal({word, "x"}).find(here) != std::string::npos);
    }
}

TEST_CASE("a word of another monitor's is not the beginning of one of ours", "[option_hints]") {
    CHECK(refusal({"--kernel", "vmlinux"}).find("mayfly boot KERNEL") != std::string::npos);
    CHECK(refusal({"--kernel=vmlinux"}).find("mayfly boot KERNEL") != std::string::npos);
    CHECK(refusal({"--kernel-c", "off"}).empty());
}

TEST_CASE("no option's value is mistaken for an option", "[option_hints]") {
    CHECK(refusal({"--append", "--kernel"}).empty());
    CHECK(refusal({"--exec", "p", "kernel", "--", "--kernel", "-m"}).empty());
}
