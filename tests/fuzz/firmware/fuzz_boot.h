// SPDX-License-Identifier: Apache-2.0
// The common part of the loaders' fuzz targets: one boot of a file, with the promises that every boot keeps.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "firmware/boot/boot.h"
#include "firmware/layout.h"

namespace mayfly::fuzz {

using FileBytes = std::vector<std::byte>;

template <typename T>
void patch(FileBytes& file, std::size_t at, T value) {
    if (at + sizeof(value) <= file.size()) std::memcpy(file.data() + at, &value, sizeof(value));
}

template <typename T>
T peek(const FileBytes& file, std::size_t at) {
    T value{};
    if (at + sizeof(value) <= file.size()) std::memcpy(&value, file.data() + at, sizeof(value));
    return value;
}

inline void expect(bool condition) {
    if (!condition) __builtin_trap();
}

/// Boots `file`, whatever it is, in a guest of 4 MiB with an initrd and, where the protocol has them, a
/// module. Traps when a kernel that was accepted could not run: entry outside RAM, or boot information
/// overwritten.
inline void boot(const FileBytes& file, Protocol wanted, bool with_module) {
    static const std::byte kInitrdBytes[5000]{};
    const Image kernel = Image::from_bytes("kernel", file);
    const Image initrd = Image::from_bytes("initrd", kInitrdBytes);
    const Image module_image = Image::from_bytes("module", std::span(kInitrdBytes).first(100));
    const BootModule modules[] = {{&module_image, "argument"}};
    const Result<KernelChoice> choice = choose_kernel(kernel, wanted);
    if (!choice) {
        expect(!choice.error().message().empty());
        return;
    }
    expect(choice->protocol != Protocol::Auto && !choice->why.empty());
    GuestRam ram = GuestRam::create({.size_bytes = MiB(4), .hole_base = layout::kHole}).value();
    const MemoryMap map = MemoryMap::for_ram(MiB(4));
    BootRequest request;
    request.kernel_name = "kernel";
    request.command_line = "quiet";
    request.initrd = &initrd;
    request.rsdp = layout::kAcpi;
    if (with_module) request.modules = modules;
    const Result<EntryState> entry = load_guest(kernel, *choice, request, ram, map);
    if (!entry) {
        expect(!entry.error().message().empty());
        return;
    }
    const GuestMemory& memory = ram.memory();
    expect(memory.contains(Gpa{entry->rip}, 1));
    expect(memory.read_object<u64>(entry->gdt + 0x18) == 0x00cf'9300'0000'ffff);
    if (choice->protocol == Protocol::Pvh) expect(memory.read_object<u32>(Gpa{entry->rbx}) == 0x336ec578u);
    if (choice->protocol == Protocol::Linux)
        expect(memory.read_object<u32>(Gpa{entry->rsi} + 0x202) == 0x53726448u);
    if (choice->protocol == Protocol::Multiboot) expect(entry->rax == 0x2badb002);
    if (choice->protocol == Protocol::Multiboot2) expect(entry->rax == 0x36d76289);
}

}  // namespace mayfly::fuzz
