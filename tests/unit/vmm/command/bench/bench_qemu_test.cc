// SPDX-License-Identifier: Apache-2.0
// QEMU's machine and statuses for BOOT-ARGS.
#include "vmm/command/bench/bench_qemu.h"

#include <catch2/catch.hpp>

using namespace mayfly;

TEST_CASE("QEMU gets kernel, initrd, command line, memory and processors", "[bench_options]") {
    const Result<QemuMachine> machine = bench_qemu_machine(
        {"vmlinux", "--initrd", "i", "--append", "quiet", "--memory", "1G", "--cpus", "2"});
    REQUIRE(machine);
    CHECK(machine->kernel == "vmlinux");
    CHECK(machine->initrd == "i");
    CHECK(machine->append == "quiet console=ttyS0");
    CHECK(machine->memory_bytes == GiB(1));
    CHECK(machine->cpus == 2);
    CHECK(machine->has_serial_output);
    CHECK(bench_qemu_machine({"vmlinux", "--append", "console=hvc0"})->append == "console=hvc0");
    CHECK(bench_qemu_machine({"vmlinux", "--no-default-append"})->append.empty());
    CHECK(bench_qemu_machine({"builtin:hello"})->append.empty());
    CHECK_FALSE(bench_qemu_machine({"vmlinux", "--console", "null"})->has_serial_output);
}

TEST_CASE("an option without a counterpart in QEMU's microvm is refused with a way out", "[bench_options]") {
    const std::vector<std::vector<std::string>> lines{
        {"vmlinux", "--disk", "d"},   {"vmlinux", "--net", "tap=x"},   {"vmlinux", "--exec", "/bin/true"},
        {"vmlinux", "--rng"},         {"vmlinux", "--console", "hvc"}, {"vmlinux", "--profile", "legacy"},
        {"vmlinux", "--", "argument"}};
    for (const std::vector<std::string>& words : lines) {
        const Result<QemuMachine> machine = bench_qemu_machine(words);
        REQUIRE_FALSE(machine);
        INFO(machine.error().message());
        CHECK(machine.error().message().find("--against 'qemu-system-x86_64") != std::string::npos);
    }
    CHECK_FALSE(bench_qemu_machine({"builtin:pic"}));
}

TEST_CASE("QEMU's status is mayfly's as isa-debug-exit changes it", "[bench_options]") {
    using Statuses = std::vector<int>;
    CHECK(bench_qemu_statuses({"builtin:hello"}, 0).value() == Statuses{1, 0});
    CHECK(bench_qemu_statuses({"builtin:hello"}, 3).value() == Statuses{7});
    CHECK(bench_qemu_statuses({"builtin:hello", "--exit-code", "qemu"}, 33).value() == Statuses{33});
    CHECK(bench_qemu_statuses({"builtin:hello", "--exit-code", "qemu", "--success", "33"}, 0).value() ==
          Statuses{0, 33, 0});
    CHECK(bench_qemu_statuses({"builtin:hello", "--success", "16"}, 0).value() == Statuses{1, 33, 0});
    CHECK_FALSE(bench_qemu_statuses({"--frobnicate"}, 0));
}
