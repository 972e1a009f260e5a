// SPDX-License-Identifier: Apache-2.0
#include "vmm/command/options/boot_options.h"

#include <catch2/catch.hpp>
#include <fmt/format.h>

using namespace mayfly;

namespace {

Result<BootConfig> parse(std::vector<std::string> words) {
    words.insert(words.begin(), "boot");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const Result<BootArguments> arguments = parse_boot_arguments(static_cast<int>(words.size()), argv.data());
    if (!arguments) return fail(Error(arguments.error()));
    return boot_config(*arguments);
}

/// The option and the value are in the one line that the user sees.
void check_refused(const std::string& option, const std::string& value) {
    INFO(option << " '" << value << "'");
    const Result<BootConfig> config = parse({option, value, "kernel"});
    REQUIRE_FALSE(config);
    CHECK(config.error().kind() == ErrorKind::Invalid);
    const std::string line = config.error().message();
    CHECK(line.find(option) != std::string::npos);
    if (!value.empty()) CHECK(line.find(value) != std::string::npos);
    CHECK(line.find('\n') == std::string::npos);
}

}  // namespace

TEST_CASE("nothing given is the demo with the documented defaults", "[boot_options]") {
    const Result<BootConfig> config = parse({});
    REQUIRE(config);
    CHECK(config->kernel == "builtin:demo");
    CHECK(config->memory_bytes == 134217728);
    CHECK(config->cpus == 0);  // as many as the guest needs
    CHECK(config->protocol == Protocol::Auto);
    CHECK(config->profile == ProfileChoice::Auto);
    CHECK(config->irqchip == IrqchipChoice::Auto);
    CHECK(config->console == "stdio");
    CHECK_FALSE(config->timeout);
    CHECK(config->exit_ports.empty());
    CHECK(config->status_rules.exit_code == ExitCodeRule::Raw);
    CHECK_FALSE(config->status_rules.success);
}

TEST_CASE("every option arrives", "[boot_options]") {
    const Result<BootConfig> config =
        parse({"--memory",     "1.5G",       "--cpus=4",        "--timeout", "2.5",
               "--initrd",     "i",          "--append",        "a b=c",     "--protocol",
               "multiboot2",   "--profile",  "legacy",          "--irqchip", "full",
               "--console",    "null",       "--exit-code",     "qemu",      "--success",
               "33",           "--timeline", "--timeline-json", "t",         "--stats",
               "--stats-json", "s",          "kernel"});
    REQUIRE(config);
    CHECK(config->kernel == "kernel");
    CHECK(config->memory_bytes == 1610612736);
    CHECK(config->cpus == 4);
    CHECK(config->timeout == std::chrono::milliseconds(2500));
    CHECK(config->initrds == std::vector<std::string>{"i"});
    CHECK(config->append == "a b=c");
    CHECK(config->protocol == Protocol::Multiboot2);
    CHECK(config->profile == ProfileChoice::Legacy);
    CHECK(config->irqchip == IrqchipChoice::Full);
    CHECK(config->console == "null");
    CHECK(config->status_rules.exit_code == ExitCodeRule::Qemu);
    CHECK(config->status_rules.success == 33);
    CHECK((config->wants_timeline && config->timeline_json == "t" && config->wants_stats &&
           config->stats_json == "s"));
}

TEST_CASE("options that repeat keep their order, and take one word each", "[boot_options]") {
    const Result<BootConfig> config = parse({"--module", "one with words", "--exit-port", "0x501", "kernel",
                                             "--module", "two", "--exit-port", "244"});
    REQUIRE(config);
    CHECK(config->kernel == "kernel");
    CHECK(config->modules == std::vector<std::string>{"one with words", "two"});
    CHECK(config->exit_ports == std::vector<u16>{0x501, 0xf4});
}

TEST_CASE("bad values are refused with option and value", "[boot_options]") {
    for (const char* value :
         {"", "x", "-1", "12Q", "1 G", "1.2345G", "0x", "18446744073709551616", "99999999T"})
        check_refused("--memory", value);
    for (const char* value : {"", "0", "65", "-1", "x", "1.5", "4294967297", "99999999999999999999"})
        check_refused("--cpus", value);
    for (const char* value : {"", "0", "-1", "x", "nan", "inf", "1e9", "10s", " 1"})
        check_refused("--timeout", value);
    for (const char* value : {"", "-1", "65536", "0x10000", "f4", "0xzz"})
        check_refused("--exit-port", value);
    for (const char* value : {"", "-1", "x", "4294967296"}) check_refused("--success", value);
    for (const char* value : {"", "bios", "PVH"}) check_refused("--protocol", value);
    for (const char* value : {"", "pc", "Modern"}) check_refused("--profile", value);
    for (const char* value : {"", "on", "kernel"}) check_refused("--irqchip", value);
    for (const char* value : {"", "hex"}) check_refused("--exit-code", value);
}

TEST_CASE("limits and choices are named", "[boot_options]") {
    const auto says = [](std::vector<std::string> words, const char* part) {
        const Result<BootConfig> config = parse(std::move(words));
        REQUIRE_FALSE(config);
        INFO(config.error().message());
        CHECK(config.error().message().find(part) != std::string::npos);
    };
    says({"--cpus", "65"}, "64");
    says({"--cpus", "0"}, "1 to 64");
    says({"--exit-port", "65536"}, "65535");
    says({"--timeout", "1e9"}, "10000000");
    says({"--protocol", "bios"}, "auto, linux, pvh, multiboot, multiboot2");
    says({"--profile", "pc"}, "auto, modern, legacy");
    says({"--irqchip", "on"}, "auto, split, full, none");
    says({"--exit-code", "hex"}, "raw, qemu");
}

TEST_CASE("unknown options, missing values and second kernels are refused", "[boot_options]") {
    const std::vector<std::vector<std::string>> lines{
        {"--frobnicate"}, {"--memory"}, {"--c", "1"}, {"-z"}, {"kernel", "another"}};
    for (const std::vector<std::string>& words : lines) {
        const Result<BootConfig> config = parse(words);
        REQUIRE_FALSE(config);
        CHECK(config.error().message().find(words.back() == "1" ? "--c" : words.back()) != std::string::npos);
    }
}

TEST_CASE("an empty kernel name is not the demo", "[boot_options]") {
    const Result<BootConfig> config = parse({""});
    REQUIRE_FALSE(config);
}

TEST_CASE("two parses in one process do not disturb each other", "[boot_options]") {
    CHECK(parse({"--cpus", "2", "kernel"})->cpus == 2);
    CHECK_FALSE(parse({"--frobnicate"}));
    CHECK(parse({"first"})->kernel == "first");
    CHECK(parse({"--cpus", "3", "second"})->kernel == "second");
}

TEST_CASE("a memory size without a unit is refused with its meaning", "[boot_options]") {
    for (const char* text : {"512", "1", "2047"}) {
        const Result<BootConfig> config = parse({"kernel", "--memory", text});
        REQUIRE_FALSE(config);
        CHECK(config.error().message() ==
              fmt::format("--memory {} means {} bytes; the least is 2 MiB (--memory {}M)", text, text, text));
    }
    CHECK(parse({"kernel", "--memory", "134217728"})->memory_bytes == MiB(128));
}

TEST_CASE("several initial RAM disks keep their order", "[boot_options]") {
    CHECK(parse({"kernel", "--initrd", "a", "--initrd=b"})->initrds == std::vector<std::string>{"a", "b"});
}

TEST_CASE("words behind -- are the program's, whatever they look like", "[boot_options]") {
    const Result<BootConfig> config = parse({"--exec", "./test", "kernel", "--root", "r", "--modules", "m",
                                             "--", "--memory", "", "-v", "--", "x"});
    REQUIRE(config);
    CHECK(config->kernel == "kernel");
    REQUIRE(config->exec);
    CHECK(config->exec->program == "./test");
    CHECK(config->exec->root == "r");
    CHECK(config->exec->modules == "m");
    CHECK(config->exec->arguments == std::vector<std::string>{"--memory", "", "-v", "--", "x"});
    CHECK(config->memory_bytes == 134217728);
}

TEST_CASE("an option that belongs to the program is refused with its place behind --", "[boot_options]") {
    const std::string where = "(arguments of --exec's program come after --; see --help)";
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"kernel", "--exec", "ls", "-la"}, {"kernel", "--exec", "sh", "--color"}}) {
        const Result<BootConfig> config = parse(words);
        REQUIRE_FALSE(config);
        CHECK_THAT(config.error().message(), Catch::Contains(where));
    }
    CHECK_THAT(parse({"kernel", "-la"}).error().message(), !Catch::Contains(where));
    CHECK_THAT(parse({"kernel", "--", "ls"}).error().message(), Catch::Contains("(--exec PROG -- ARG...)"));
}

TEST_CASE("a program's environment is read, and checked as far as possible", "[boot_options]") {
    ::setenv("MAYFLY_TEST_SET", "from here", 1);
    ::unsetenv("MAYFLY_TEST_UNSET");
    const Result<BootConfig> config = parse(
        {"--exec", "p", "kernel", "--env", "A=1=2", "--env", "MAYFLY_TEST_SET", "--env", "MAYFLY_TEST_UNSET",
         "--env", "EMPTY=", "--workdir", "/w", "--user", "u:g", "--hostname", "h", "--grace", "0.5"});
    REQUIRE(config);
    CHECK(config->exec->environment ==
          std::vector<std::string>{"A=1=2", "MAYFLY_TEST_SET=from here", "EMPTY="});
    CHECK(config->exec->workdir == "/w");
    CHECK(config->exec->user == "u:g");
    CHECK(config->exec->hostname == "h");
    CHECK(config->exec->grace == std::chrono::milliseconds(500));
    CHECK(parse({"--exec", "p", "kernel"})->exec->grace == std::chrono::seconds(10));
    for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--env", "=x"},
                                                  {"--workdir", "w"},
                                                  {"--hostname", std::string(65, 'h')},
                                                  {"--grace", "soon"}}) {
        std::vector<std::string> words{"--exec", "p", "kernel"};
        words.insert(words.end(), wrong.begin(), wrong.end());
        const Result<BootConfig> refused = parse(words);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().message().find(wrong.front()) != std::string::npos);
    }
}

TEST_CASE("options that belong to --exec are refused without it", "[boot_options]") {
    for (const std::vector<std::string>& words : {std::vector<std::string>{"kernel", "--", "a"},
                                                  {"kernel", "--root", "d"},
                                                  {"kernel", "--env", "A=1"},
                                                  {"kernel", "--workdir", "/"},
                                                  {"kernel", "--user", "1"},
                                                  {"kernel", "--hostname", "h"},
                                                  {"kernel", "--grace", "1"},
                                                  {"kernel", "--modules", "d"},
                                                  {"kernel", "--net", "tap=t,ip=192.0.2.2/24"},
                                                  {"kernel", "--exec", "p", "--initrd", "i"},
                                                  {"kernel", "a", "--exec", "p"}}) {
        const Result<BootConfig> config = parse(words);
        REQUIRE_FALSE(config);
        CHECK(config.error().kind() == ErrorKind::Invalid);
    }
}

TEST_CASE("a quick Linux takes mayfly's words", "[boot_options]") {
    CHECK_FALSE(parse({"kernel"})->is_quick_linux);
    CHECK(parse({"kernel", "--quick-linux"})->is_quick_linux);
    const Result<BootConfig> both = parse({"kernel", "--quick-linux", "--no-default-append"});
    REQUIRE_FALSE(both);
    CHECK(both.error().kind() == ErrorKind::Invalid);
}

TEST_CASE("the console's watch options arrive", "[boot_options]") {
    const Result<BootConfig> config =
        parse({"--expect", "a+", "--expect", "b", "--fail-on", "c", "--log", "l", "--log-limit", "1M",
               "--junit", "j", "--no-default-append", "kernel"});
    REQUIRE(config);
    CHECK(config->watch.expect == std::vector<std::string>{"a+", "b"});
    CHECK(config->watch.fail_on == std::vector<std::string>{"c"});
    CHECK(config->watch.log_path == "l");
    CHECK(config->watch.log_max_bytes == 1048576);
    CHECK(config->watch.junit_path == "j");
    CHECK_FALSE(config->has_default_append);
    check_refused("--log-limit", "lots");
}
