// SPDX-License-Identifier: Apache-2.0
#include "firmware/image/joined_image.h"

#include "firmware/image/refuse.h"
#include "vmm/text/size.h"

namespace mayfly {

namespace {

constexpr u64 kArchiveAlignment = 4;

u64 padded(u64 bytes) { return (bytes + kArchiveAlignment - 1) / kArchiveAlignment * kArchiveAlignment; }

}  // namespace

Result<Image> join_images(std::span<const Image> images, u64 bytes_max, StopToken stop) {
    std::string name;
    u64 size_bytes = 0;
    for (const Image& image : images) {
        name += (name.empty() ? "" : " + ") + image.name();
        // The last image needs no padding.
        const u64 taken = &image == &images.back() ? image.size_bytes() : padded(image.size_bytes());
        if (taken > bytes_max - size_bytes)
            return refuse("{}: together they have more bytes than guest RAM ({}); give the guest more memory",
                          name, print_size(bytes_max));
        size_bytes += taken;
    }
    Mapping bytes = TRY(Mapping::anonymous(size_bytes));
    u64 at = 0;
    for (const Image& image : images) {
        const std::span<std::byte> place(bytes.data() + at, image.size_bytes());
        TRY_VOID(about(image.read(0, place), image.name()));
        at += padded(image.size_bytes());
    }
    return Image::from_mapping(std::move(name), std::move(bytes), size_bytes, stop);
}

}  // namespace mayfly
