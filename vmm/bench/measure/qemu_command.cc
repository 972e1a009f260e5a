// SPDX-License-Identifier: Apache-2.0
#include "vmm/bench/measure/qemu_command.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>

#include "vmm/os/unique_fd.h"

namespace mayfly {

namespace {

// Multiboot Specification 0.6.96, 3.1.1 "The layout of Multiboot header": within 8192 bytes, at a multiple
// of 4.
constexpr std::size_t kMultibootWithin = 8192;
constexpr u32 kMultibootMagic = 0x1bad'b002;

}  // namespace

std::vector<std::string> qemu_arguments(const QemuMachine& machine) {
    std::vector<std::string> words{
        "qemu-system-x86_64",
        "-M",
        "microvm,pit=off,pic=off,rtc=off,isa-serial=on",
        "-accel",
        "kvm",
        "-cpu",
        machine.hides_arch_capabilities ? "host,arch-capabilities=off" : "host",
        "-m",
        fmt::format("{}M", (machine.memory_bytes + MiB(1) - 1) / MiB(1)),
        "-smp",
        std::to_string(machine.cpus),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        "-serial",
        machine.has_serial_output ? "stdio" : "null",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=0x04",
        "-kernel",
        machine.kernel,
    };
    const auto add = [&](const char* option, const std::string& value) {
        if (value.empty()) return;
        words.emplace_back(option);
        words.push_back(value);
    };
    add("-initrd", machine.initrd);
    add("-append", machine.append);
    return words;
}

Result<void> write_pvh_guest(std::span<const std::byte> elf, const std::string& path) {
    std::vector<std::byte> copy(elf.begin(), elf.end());
    for (std::size_t at = 0; at + sizeof(u32) <= std::min(copy.size(), kMultibootWithin); at += sizeof(u32)) {
        u32 word = 0;
        std::memcpy(&word, copy.data() + at, sizeof word);
        if (word == kMultibootMagic) std::memset(copy.data() + at, 0, sizeof word);
    }
    const UniqueFd fd = UniqueFd::adopt(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd.valid()) return fail(Error::os("open").about(path));
    const ssize_t written = ::write(fd.get(), copy.data(), copy.size());
    if (written < 0) return fail(Error::os("write").about(path));
    if (static_cast<std::size_t>(written) != copy.size()) return fail(Error::os("write", ENOSPC).about(path));
    return {};
}

}  // namespace mayfly
