// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_format.h"

#include <array>

#include <unistd.h>

#include <fmt/format.h>

namespace mayfly {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kSectorBytes = 512;

struct Magic {
    std::string_view bytes;
    std::size_t at;
    ImageFormat format;
};

constexpr std::array kAtTheFront{
    Magic{"QFI\xfb\0\0\0\1"sv, 0, {"qcow", "qcow"}},
    Magic{"QFI\xfb"sv, 0, {"qcow2", "qcow2"}},
    Magic{"QED\0"sv, 0, {"QED", "qed"}},
    Magic{"KDMV"sv, 0, {"VMDK", "vmdk"}},
    Magic{"COWD"sv, 0, {"VMDK", "vmdk"}},
    Magic{"# Disk DescriptorFile"sv, 0, {"VMDK", "vmdk"}},
    Magic{"conectix"sv, 0, {"VHD", "vpc"}},
    Magic{"vhdxfile"sv, 0, {"VHDX", "vhdx"}},
    Magic{"\x7f\x10\xda\xbe"sv, 64, {"VDI", "vdi"}},
    Magic{"WithoutFreeSpace"sv, 0, {"Parallels", "parallels"}},
    Magic{"WithouFreSpacExt"sv, 0, {"Parallels", "parallels"}},
    Magic{"Bochs Virtual HD Image"sv, 0, {"Bochs", "bochs"}},
};

/// A VHD of fixed size has no header; the footer of old ones is a byte shorter.
constexpr std::array kAtTheEnd{
    Magic{"conectix"sv, 0, {"VHD", "vpc"}},
    Magic{"conectix"sv, 1, {"VHD", "vpc"}},
    Magic{"koly"sv, 0, {"DMG", "dmg"}},
};

template <std::size_t count>
ImageFormat find(const UniqueFd& fd, u64 offset_bytes, const std::array<Magic, count>& magics) {
    std::array<char, kSectorBytes> sector;
    const ssize_t got = ::pread(fd.get(), sector.data(), sector.size(), static_cast<off_t>(offset_bytes));
    const std::string_view bytes(sector.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
    for (const Magic& magic : magics)
        if (bytes.size() >= magic.at && bytes.substr(magic.at).starts_with(magic.bytes)) return magic.format;
    return {};
}

}  // namespace

ImageFormat find_image_format(const UniqueFd& fd, u64 size_bytes) {
    const ImageFormat format = find(fd, 0, kAtTheFront);
    if (!format.name.empty() || size_bytes < kSectorBytes) return format;
    return find(fd, size_bytes - kSectorBytes, kAtTheEnd);
}

std::string conversion_command(std::string_view qemu_name, const std::string& path) {
    return fmt::format("qemu-img convert -f {0} -O raw {1} {1}.raw", qemu_name, path);
}

}  // namespace mayfly
