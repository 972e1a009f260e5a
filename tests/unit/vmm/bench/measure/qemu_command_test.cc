// SPDX-License-Identifier: Apache-2.0
// The QEMU command, and a built-in guest as a file for it.
#include "vmm/bench/measure/qemu_command.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include <unistd.h>

#include <catch2/catch.hpp>

#include "vmm/bench/results/words.h"

using namespace mayfly;

TEST_CASE("a machine becomes QEMU's words, without absent parts", "[qemu_command]") {
    QemuMachine machine;
    machine.kernel = "my kernel";
    CHECK(join_command(qemu_arguments(machine)) ==
          "qemu-system-x86_64 -M microvm,pit=off,pic=off,rtc=off,isa-serial=on -accel kvm -cpu host -m 128M "
          "-smp 1 "
          "-nodefaults -no-user-config -display none -no-reboot -serial stdio -device "
          "isa-debug-exit,iobase=0xf4,iosize=0x04 -kernel 'my kernel'");
    machine.initrd = "i";
    machine.append = "a b";
    machine.cpus = 4;
    machine.memory_bytes = MiB(512) + 1;
    machine.has_serial_output = false;
    machine.hides_arch_capabilities = true;
    const std::string line = join_command(qemu_arguments(machine));
    for (const char* part : {" -initrd i", " -append 'a b'", " -smp 4 ", " -m 513M ", " -serial null ",
                             " -cpu host,arch-capabilities=off "})
        CHECK(line.find(part) != std::string::npos);
}

TEST_CASE("a guest is written unchanged, except without its Multiboot 1 header", "[qemu_command]") {
    constexpr u32 kMagic = 0x1badb002;  // Multiboot 0.6.96, 3.1.2
    std::array<std::byte, 9000> elf{};
    elf.fill(std::byte{0x55});
    for (const std::size_t at : {std::size_t{64}, std::size_t{8188}, std::size_t{8192}})
        std::memcpy(elf.data() + at, &kMagic, sizeof kMagic);
    std::string directory = "/tmp/mayfly-qemu-XXXXXX";
    REQUIRE(::mkdtemp(directory.data()) != nullptr);
    const std::string path = directory + "/guest";
    REQUIRE(write_pvh_guest(elf, path));
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    REQUIRE(bytes.size() == elf.size());
    CHECK(std::memcmp(bytes.data() + 64, "\0\0\0\0", 4) == 0);
    CHECK(std::memcmp(bytes.data() + 8188, "\0\0\0\0", 4) == 0);
    // Beyond where the header may be.
    CHECK(std::memcmp(bytes.data() + 8192, &kMagic, sizeof kMagic) == 0);
    CHECK(bytes[63] == 0x55);
    CHECK(bytes[68] == 0x55);
    CHECK_FALSE(write_pvh_guest(elf, path));
    CHECK_FALSE(write_pvh_guest(elf, "/no/such/directory/x"));
    ::unlink(path.c_str());
    ::rmdir(directory.c_str());
}
