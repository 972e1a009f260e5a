// SPDX-License-Identifier: Apache-2.0
#include "firmware/boot/linux_release.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <asm/bootparam.h>

#include "firmware/boot/linux_boot_spec.h"
#include "firmware/boot/linux_driver.h"

namespace mayfly {

namespace {

constexpr std::string_view kBanner = "Linux version ";
/// __NEW_UTS_LEN, the limit of `uname -r`.
constexpr std::size_t kReleaseMax = 64;

/// The first word at `offset_bytes`; empty where that is not a release.
std::string word_at(const Image& image, u64 offset_bytes) {
    if (offset_bytes >= image.size_bytes()) return {};
    std::array<char, kReleaseMax + 1> text{};
    const auto part = std::span(text).first(std::min<u64>(text.size(), image.size_bytes() - offset_bytes));
    if (!image.read(offset_bytes, std::as_writable_bytes(part))) return {};
    const auto is_of_release = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
               c == '-' || c == '_' || c == '+' || c == '~';
    };
    const auto end = std::find_if_not(part.begin(), part.end(), is_of_release);
    const bool is_ended = end != part.end() && (*end == ' ' || *end == '\0');
    const bool is_number = part.front() >= '0' && part.front() <= '9';
    return is_ended && is_number ? std::string(part.begin(), end) : std::string();
}

std::string release_of(const Image& kernel, const BzImage& bzimage) {
    constexpr std::size_t kField = offsetof(setup_header, kernel_version);
    u16 place = 0;
    if (bzimage.header.size() < kField + sizeof place) return {};
    std::memcpy(&place, bzimage.header.data() + kField, sizeof place);
    // "kernel_version": a pointer "less 0x200" to a string, which lies before the protected-mode part.
    const u64 offset_bytes = u64{place} + linux_boot::kSectorBytes;
    return place == 0 || offset_bytes >= bzimage.kernel_offset_bytes ? std::string()
                                                                     : word_at(kernel, offset_bytes);
}

}  // namespace

std::string linux_release(const Image& kernel, const KernelHeaders& headers,
                          const std::optional<ElfImage>& vmlinux) {
    std::string release = headers.bzimage ? release_of(kernel, *headers.bzimage) : std::string();
    if (!release.empty() || !vmlinux) return release;
    const std::optional<u64> banner = find_constant(*vmlinux, kBanner);
    return banner ? word_at(vmlinux->image, *banner + kBanner.size()) : std::string();
}

}  // namespace mayfly
