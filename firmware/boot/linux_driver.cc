// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_driver.h"

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mayfly {

namespace {

/// A kernel's constants take 6 to 12 MiB.
constexpr u64 kConstantsMax = MiB(64);
constexpr u64 kChunk = KiB(256);

}  // namespace

std::optional<u64> find_constant(const ElfImage& vmlinux, std::string_view text) {
    const Image& image = vmlinux.image;
    const std::optional<ElfSections>& sections = vmlinux.kernel.sections;
    const Elf64_Shdr* constants = sections ? sections->find(".rodata") : nullptr;
    if (constants == nullptr || constants->sh_size > kConstantsMax) return std::nullopt;
    if (constants->sh_offset >= image.size_bytes()) return std::nullopt;
    const u64 size = std::min(constants->sh_size, image.size_bytes() - constants->sh_offset);
    const std::boyer_moore_horspool_searcher searcher(text.begin(), text.end());
    // Chunks overlap by the text's length.
    std::vector<char> chunk(kChunk + text.size());
    // From the end: the linker puts strings there.
    for (u64 end = size; end != 0;) {
        const u64 begin = end - std::min(end, kChunk);
        const auto piece = std::span(chunk).first(std::min(end + text.size(), size) - begin);
        if (!image.read(constants->sh_offset + begin, std::as_writable_bytes(piece))) return std::nullopt;
        const auto found = std::search(piece.begin(), piece.end(), searcher);
        if (found != piece.end())
            return constants->sh_offset + begin + static_cast<u64>(found - piece.begin());
        end = begin;
    }
    return std::nullopt;
}

bool has_driver(const ElfImage& vmlinux, std::string_view name) {
    // The whole word, between the NULs that separate constants.
    std::string wanted(1, '\0');
    wanted.append(name).push_back('\0');
    return find_constant(vmlinux, wanted).has_value();
}

bool surely_lacks(const ElfImage& vmlinux, std::string_view module) {
    using namespace std::string_literals;
    // Other constants end with its name too, but no other begins a message with it.
    const std::string trace = module == "overlay" ? "overlayfs: " : std::string(driver_name(module)) + "\0"s;
    // Every Linux has the first.
    return find_constant(vmlinux, "sysfs\0"s) && !find_constant(vmlinux, trace);
}

std::string_view driver_name(std::string_view module) {
    if (module == "virtio_pci") return "virtio-pci";
    if (module == "virtio_mmio") return "virtio-mmio";
    return module;
}

}  // namespace mayfly
