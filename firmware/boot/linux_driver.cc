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

bool has_driver(const ElfImage& vmlinux, std::string_view name) {
    const Image& image = vmlinux.image;
    const std::optional<ElfSections>& sections = vmlinux.kernel.sections;
    const Elf64_Shdr* constants = sections ? sections->find(".rodata") : nullptr;
    if (constants == nullptr || constants->sh_size > kConstantsMax) return false;
    if (constants->sh_offset >= image.size_bytes()) return false;
    const u64 size = std::min(constants->sh_size, image.size_bytes() - constants->sh_offset);
    // The whole word, between the NULs that separate constants; chunks overlap by its length.
    std::string wanted(1, '\0');
    wanted.append(name).push_back('\0');
    const std::boyer_moore_horspool_searcher searcher(wanted.data(), wanted.data() + wanted.size());
    std::vector<char> chunk(kChunk + wanted.size());
    // From the end: the linker puts strings there.
    for (u64 end = size; end != 0;) {
        const u64 begin = end - std::min(end, kChunk);
        const auto piece = std::span(chunk).first(std::min(end + wanted.size(), size) - begin);
        if (!image.read(constants->sh_offset + begin, std::as_writable_bytes(piece))) return false;
        if (std::search(piece.begin(), piece.end(), searcher) != piece.end()) return true;
        end = begin;
    }
    return false;
}

}  // namespace mayfly
