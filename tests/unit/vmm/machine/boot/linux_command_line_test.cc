// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/linux_command_line.h"

#include <algorithm>
#include <vector>

#include <catch2/catch.hpp>

using namespace mayfly;

namespace {

const LinuxConsole kSerial{.device = ConsoleDevice::Serial, .has_early = false};
const LinuxConsole kVirtio{.device = ConsoleDevice::Virtio, .has_early = false};
const LinuxConsole kVirtioEarly{.device = ConsoleDevice::Virtio, .has_early = true};

/// The words before all others.
std::string defaults() {
    std::string line;
    for (const DefaultWord& word : linux_default_words()) line += std::string(word.word) + ' ';
    return line;
}

BootConfig with(std::string append) {
    BootConfig config;
    config.append = std::move(append);
    return config;
}

BootConfig with_program(std::string append) {
    BootConfig config = with(std::move(append));
    config.exec.emplace();
    config.exec->program = "/bin/true";
    return config;
}

std::string line_of(const BootConfig& config, LinuxConsole console = kSerial, std::string_view init = {}) {
    return linux_command_line(config, console, init, false).text;
}

}  // namespace

TEST_CASE("mayfly's words are single, distinct, without spaces, and say why", "[linux_command_line]") {
    std::vector<std::string_view> seen;
    for (const DefaultWord& word : linux_default_words()) {
        CHECK(word.word.find_first_of(" \t\n\"") == std::string_view::npos);
        CHECK_FALSE(word.word.empty());
        CHECK_FALSE(word.why.empty());
        CHECK(std::find(seen.begin(), seen.end(), word.word) == seen.end());
        seen.push_back(word.word);
    }
    // Exit status 126 needs both: kernel/panic.c resets at once, kernel/reboot.c tells it from a reboot.
    CHECK(std::find(seen.begin(), seen.end(), "panic=-1") != seen.end());
    CHECK(std::find(seen.begin(), seen.end(), "reboot=panic_warm") != seen.end());
}

TEST_CASE("FIPS mode keeps its random generator", "[linux_command_line]") {
    const std::string word = "initcall_blacklist=jent_mod_init";
    for (const char* append : {"", "ro", "fipsy=1", "-- fips=1"})
        CHECK_THAT(line_of(with(append)), Catch::Matchers::Contains(word));
    for (const char* append : {"fips=1", "ro fips=0", "fips"})
        CHECK_THAT(line_of(with(append)), !Catch::Matchers::Contains(word));
}

TEST_CASE("a quick Linux leaves out the listed initcalls, besides the words of all", "[linux_command_line]") {
    BootConfig config = with("ro initcall_blacklist=mine");
    config.is_quick_linux = true;
    std::string list;
    for (const QuickWord& word : linux_quick_words()) {
        CHECK_FALSE(word.loss.empty());
        CHECK(word.initcall.find_first_of(" ,=\"") == std::string_view::npos);
        list += (list.empty() ? "" : ",") + std::string(word.initcall);
    }
    CHECK(line_of(config) ==
          defaults() + "initcall_blacklist=" + list + " console=ttyS0 ro initcall_blacklist=mine");
}

TEST_CASE("a Linux guest gets mayfly's words, a console, our init, then the user's own",
          "[linux_command_line]") {
    CHECK(line_of(with("")) == defaults() + "console=ttyS0");
    CHECK(line_of(with("root=/dev/vda ro -- single")) ==
          defaults() + "console=ttyS0 root=/dev/vda ro -- single");
    CHECK(line_of(with("ro"), kVirtio) == defaults() + "console=hvc0 ro");
    CHECK(line_of(with("ro"), kSerial, "/i") == defaults() + "console=ttyS0 rdinit=/i ro");
    CHECK(line_of(with("-- ro"), kSerial, "/i") == defaults() + "console=ttyS0 rdinit=/i -- ro");
    const LinuxCommandLine line = linux_command_line(with("ro"), kSerial, {}, false);
    CHECK(line.has_defaults);
    CHECK(line.marks_panics);
}

TEST_CASE("an early console is named before the one that follows it", "[linux_command_line]") {
    CHECK(line_of(with("ro"), kVirtioEarly) ==
          defaults() + "earlycon=uart8250,mmio,0xc0011000 console=hvc0 ro");
    CHECK(line_of(with("console=tty0"), kVirtioEarly) ==
          defaults() + "earlycon=uart8250,mmio,0xc0011000 console=tty0");
}

TEST_CASE("a console is named only where the user names none", "[linux_command_line]") {
    for (const char* append : {"console=ttyS1", "ro console=tty0", "console", "\"console=ttyS0,115200 x\""})
        CHECK(line_of(with(append)) == defaults() + append);
    for (const char* append : {"netconsole=@/", "consoleblank=0", "-- console=ttyS1", "x=\"a console=b\"",
                               "earlycon=uart,io,0x3f8", "quietly=console"})
        CHECK(line_of(with(append)) == defaults() + "console=ttyS0 " + append);
}

TEST_CASE("a program's output is not mixed with the kernel's, unless the user wants it",
          "[linux_command_line]") {
    CHECK(line_of(with_program("ro"), kSerial, "/i") ==
          defaults() + "quiet loglevel=3 console=ttyS0 rdinit=/i ro");
    CHECK(linux_command_line(with_program("ro"), kSerial, "/i", true).text ==
          defaults() + "console=ttyS0 rdinit=/i ro");
    // The last word wins.
    CHECK(line_of(with_program("loglevel=7"), kSerial, "/i").ends_with(" rdinit=/i loglevel=7"));
    CHECK(linux_command_line(with("ro"), kSerial, {}, true).text == line_of(with("ro")));
}

TEST_CASE("\"quiet\" of the user's comes before the early console too", "[linux_command_line]") {
    CHECK(line_of(with("ro quiet"), kVirtioEarly) ==
          defaults() + "quiet earlycon=uart8250,mmio,0xc0011000 console=hvc0 ro quiet");
    CHECK(line_of(with("ro -- quiet"), kVirtio) == defaults() + "console=hvc0 ro -- quiet");
    CHECK(line_of(with_program("quiet"), kVirtio, "/i") ==
          defaults() + "quiet loglevel=3 console=hvc0 rdinit=/i quiet");
}

TEST_CASE("--no-default-append leaves the user's words, and our init", "[linux_command_line]") {
    const auto plain = [](BootConfig config, std::string_view init) {
        config.has_default_append = false;
        return linux_command_line(config, kSerial, init, false);
    };
    CHECK(plain(with(""), {}).text.empty());
    CHECK(plain(with("ro -- x"), {}).text == "ro -- x");
    CHECK(plain(with_program("ro"), "/i").text == "rdinit=/i ro");
    CHECK(plain(with_program(""), "/i").text == "rdinit=/i");
    CHECK_FALSE(plain(with("ro"), {}).has_defaults);
    CHECK_FALSE(plain(with("panic=-1 reboot=panic_warm"), {}).marks_panics);
}

TEST_CASE("a panic differs from a reboot unless the user sets reboot=", "[linux_command_line]") {
    const auto marks = [](const char* append) {
        return linux_command_line(with(append), kSerial, {}, false).marks_panics;
    };
    CHECK(marks(""));
    CHECK(marks("panic=10"));
    CHECK(marks("init=/reboot=warm -- reboot=warm"));
    CHECK_FALSE(marks("reboot=warm"));
    CHECK_FALSE(marks("ro \"reboot=t\""));
}

TEST_CASE("a line that is too long loses mayfly's words, then the console, and never the user's",
          "[linux_command_line]") {
    const std::size_t own = defaults().size() + std::string("console=ttyS0 ").size();
    const auto line = [](std::size_t bytes, std::string_view init = {}) {
        return linux_command_line(with(std::string(bytes, 'x')), kSerial, init, false);
    };
    CHECK(line(2047 - own).text.size() == 2047);
    CHECK(line(2047 - own).has_defaults);
    CHECK(line(2047 - own).marks_panics);

    const LinuxCommandLine long_line = line(2048 - own);
    CHECK(long_line.text == "console=ttyS0 " + std::string(2048 - own, 'x'));
    CHECK_FALSE(long_line.has_defaults);
    CHECK_FALSE(long_line.marks_panics);
    CHECK(line(2047 - 14).text == "console=ttyS0 " + std::string(2047 - 14, 'x'));
    CHECK(line(2048 - 14).text == std::string(2048 - 14, 'x'));
    CHECK(line(5000).text == std::string(5000, 'x'));
    CHECK(line(2040, "/i").text == "rdinit=/i " + std::string(2040, 'x'));
}

TEST_CASE("a parameter is found as Linux finds it", "[linux_command_line]") {
    for (const char* line :
         {"a-b", "a_b", "a-b=", "a_b=1", "x a-b=1 y", "\ta_b\n", "x\va_b\fy", "\"a-b=1 2\"", "\"a_b\"",
          "x=\"1 2\" a-b", "--x a_b", "\"-- \" a_b", "x\240a_b", "x=-- a-b", "a-b -- c"}) {
        CAPTURE(line);
        CHECK(has_parameter(line, "a_b"));
        CHECK(has_parameter(line, "a-b"));
    }
    for (const char* line :
         {"",        " ",       "a",      "a_bc",       "xa_b",       "a_b.c=1",   "a_",
          "ab",      "x=a_b",   "-- a_b", "x -- a_b=1", "\"--\" a_b", "\"x a_b\"", "x=\"1 a_b=2\"",
          "\"x a_b", "a\"_b\"", "A_B",    "=a_b",       "\"\"",       "\""}) {
        CAPTURE(line);
        CHECK_FALSE(has_parameter(line, "a_b"));
        CHECK_FALSE(has_parameter(line, "a-b"));
    }
}

TEST_CASE("the console's log level follows the last word about it", "[linux_command_line]") {
    for (const auto& [line, level] :
         std::initializer_list<std::pair<const char*, int>>{{"", 7},
                                                            {"ro", 7},
                                                            {"quiet", 4},
                                                            {"quiet loglevel=3", 3},
                                                            {"loglevel=3 quiet", 4},
                                                            {"debug", 8},
                                                            {"debug quiet", 4},
                                                            {"loglevel=0", 0},
                                                            {"loglevel=15", 8},
                                                            {"loglevel=9", 8},
                                                            {"loglevel=", 7},
                                                            {"loglevel=x", 7},
                                                            {"\"loglevel=5\"", 5},
                                                            {"ignore_loglevel quiet", 8},
                                                            {"ignore-loglevel", 8},
                                                            {"quietly debugger xloglevel=2", 7},
                                                            {"-- quiet", 7}})
        CHECK(linux_log_level(line) == level);
}
