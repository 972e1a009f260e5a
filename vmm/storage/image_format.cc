// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_format.h"

#include <array>

#include <unistd.h>

namespace mayfly {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kSectorBytes = 512;

struct Magic {
    std::string_view bytes;
    std::size_t at;
    std::string_view name;
};

constexpr std::array kAtTheFront{
    Magic{"QFI\xfb\0\0\0\1"sv, 0, "qcow"},
    Magic{"QFI\xfb"sv, 0, "qcow2"},
    Magic{"QED\0"sv, 0, "QED"},
    Magic{"KDMV"sv, 0, "VMDK"},
    Magic{"COWD"sv, 0, "VMDK"},
    Magic{"# Disk DescriptorFile"sv, 0, "VMDK"},
    Magic{"conectix"sv, 0, "VHD"},
    Magic{"vhdxfile"sv, 0, "VHDX"},
    Magic{"\x7f\x10\xda\xbe"sv, 64, "VDI"},
    Magic{"WithoutFreeSpace"sv, 0, "Parallels"},
    Magic{"WithouFreSpacExt"sv, 0, "Parallels"},
    Magic{"Bochs Virtual HD Image"sv, 0, "Bochs"},
};

/// A VHD of fixed size has nothing in front; the footer of old ones is a byte shorter.
constexpr std::array kAtTheEnd{
    Magic{"conectix"sv, 0, "VHD"},
    Magic{"conectix"sv, 1, "VHD"},
    Magic{"koly"sv, 0, "DMG"},
};

template <std::size_t count>
std::string_view find(const UniqueFd& fd, u64 offset_bytes, const std::array<Magic, count>& magics) {
    std::array<char, kSectorBytes> sector;
    const ssize_t got = ::pread(fd.get(), sector.data(), sector.size(), static_cast<off_t>(offset_bytes));
    const std::string_view bytes(sector.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
    for (const Magic& magic : magics)
        if (bytes.size() >= magic.at && bytes.substr(magic.at).starts_with(magic.bytes)) return magic.name;
    return {};
}

}  // namespace

std::string_view find_image_format(const UniqueFd& fd, u64 size_bytes) {
    const std::string_view name = find(fd, 0, kAtTheFront);
    if (!name.empty() || size_bytes < kSectorBytes) return name;
    return find(fd, size_bytes - kSectorBytes, kAtTheEnd);
}

}  // namespace mayfly
